package reporting

import (
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/test/metricspage"
)

// TestMetricsPage: what the service serves is what the reference says.
func TestMetricsPage(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(t, note())
	_, err := r.Roll(t.Context(), oneThenAll(current, "c0ffee"))
	must(t, err)
	r.join(t, "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.metrics.notices.WithLabelValues("mail", "taken")
	r.metrics.notices.WithLabelValues("mail", "refused")
	r.metrics.observe("POST /v1/checkin", 200, half)
	r.metrics.observe("POST /v1/checkin", 503, half)
	r.replica.feed = &sqlstore.Feed{} // as with others on a database
	metricspage.Check(t, "Report service", "vigo_report_", r.metrics.registry)
}
