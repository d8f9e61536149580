package reporting

import (
	"database/sql"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
)

// TestMetricsOfAStoreThatHangs: the page comes, without what the store did not say, while the database takes a question and does
// not answer it. Prometheus would show the service as down otherwise, and each scrape would leave a question behind.
func TestMetricsOfAStoreThatHangs(t *testing.T) {
	t.Parallel()
	ca, err := identity.NewCA("acme", noon.AddDate(-1, 0, 0))
	must(t, err)
	address := one.Database(t)
	p := &pair{clock: &clock{at: noon}}
	r := p.replica(t, ca, address)
	other, err := sql.Open("pgx", address)
	must(t, err)
	t.Cleanup(func() { must(t, other.Close()) })
	hold, err := other.BeginTx(t.Context(), nil)
	must(t, err)
	defer func() { must(t, hold.Rollback()) }()
	_, err = hold.ExecContext(t.Context(), "LOCK TABLE rollout IN ACCESS EXCLUSIVE MODE")
	must(t, err)

	page, shown := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(shown)
		r.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	}()
	select {
	case <-shown:
	case <-time.After(time.Minute):
		t.Fatal("the page waits for the database")
	}
	if body := page.Body.String(); page.Code != http.StatusOK || !strings.Contains(body, "vigo_report_nodes") || strings.Contains(body, "vigo_report_rollout_phase") {
		t.Errorf("%d: %.300s", page.Code, body)
	}
}
