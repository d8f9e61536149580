package registry_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/test/metricspage"
)

// TestMetricsPage: what a registry serves is what the reference says.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	r, err := registry.New(registry.Options{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/v2/", nil))
	all := prometheus.NewRegistry()
	all.MustRegister(r)
	metricspage.Check(t, "Registry", "vigo_registry_", all)
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
