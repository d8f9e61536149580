package controller

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Handler serves the controller's own endpoints:
//
//	GET  /healthz       200 while the controller polls (503 when it has not for four intervals)
//	GET  /readyz        200 once every channel has a pointer in the registry
//	GET  /metrics       Prometheus
//	GET  /v1/controller the status as JSON
//	POST /hooks/nudge   look at the branch now; for forges, which prove with the hook token that it is them
func (c *Controller) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", c.healthz)
	mux.HandleFunc("GET /readyz", c.readyz)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		promhttp.HandlerFor(c.gatherer(), promhttp.HandlerOpts{}).ServeHTTP(w, r) // of the branches there are now
	})
	mux.HandleFunc("GET /v1/controller", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(c.Status()) // the client is gone when it fails
	})
	mux.HandleFunc("POST /hooks/nudge", c.hook)
	return mux
}

func (c *Controller) healthz(w http.ResponseWriter, _ *http.Request) {
	if age := c.cfg.Now().Sub(c.others.oldest(c.beat())); age > 4*c.cfg.Poll+2*time.Minute {
		http.Error(w, fmt.Sprintf("the branch was last looked at %s ago", age.Round(time.Second)), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

func (c *Controller) readyz(w http.ResponseWriter, _ *http.Request) {
	s := c.Status()
	channels := len(s.Channels)
	for _, other := range s.Others {
		channels += len(other.Channels)
	}
	if channels == 0 {
		reason := "nothing is published yet"
		if s.Failure != nil {
			reason += ": " + s.Failure.Message
		}
		http.Error(w, reason, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}
