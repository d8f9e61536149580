package dashboard

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// BenchmarkLarge is what a look of the stream and a page of the list cost with 100,000 nodes, beside what the service itself takes
// to list them.
func BenchmarkLarge(b *testing.B) {
	w := newWorld("text")
	for i := range 100_000 {
		w.nodes = append(w.nodes, report.NodeStatus{Name: fmt.Sprintf("node-%05d", i), Channel: "production", Presence: report.Live, Compliance: report.ComplianceOK, Seen: noon, Bundle: "sha256:1"})
	}
	d, err := New(Config{Fleet: "acme", Operators: w, Inventory: w, Compliance: w, Alerts: w, Dead: w, Auditor: w, Door: w, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return noon }})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("look", func(b *testing.B) {
		for range b.N {
			if _, err := d.live.look(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for range b.N {
			if err := d.nodes(httptest.NewRequest("GET", "/ui/nodes", nil), &page{Now: noon}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
