package reporting

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"vigo.dev/pkg/api"
)

// Handler answers agents and operators (/v1/), /metrics, /healthz and /readyz. It must be served over TLS with the
// certificate of the fleet's authority.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/", api.NewServer(api.Backend{Agents: s, Hubs: s, Gate: s, Operators: s, Inventory: s, History: s, Compliance: s, Alerts: s, DeadNotices: s, Upkeep: s, Rollouts: s, Modes: s, RolloutRecords: s, Reboots: s, Doctor: s, Admin: s, Roster: s, Staff: s, Auditor: s, Access: s, Logins: s, Certificates: s, Fleet: s.Fleet, Log: s.Log, Now: s.Now, Observe: s.metrics.observe}))
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if trouble := s.readiness(s.DB.Ping(r.Context())); trouble != "" {
			http.Error(w, trouble, http.StatusServiceUnavailable)
		}
	})
	return mux
}
