package reporting

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// BenchmarkLookingAtAll asks how 100,000 nodes are, as a dashboard and a Prometheus do: check-ins wait as long as the service is locked.
func BenchmarkLookingAtAll(b *testing.B) {
	db, err := sqlstore.Open(b.Context(), filepath.Join(b.TempDir(), "report.db"), sqlstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	s := &Service{Config: Config{DB: db, Fleet: "acme", Channel: "stable", Now: func() time.Time { return noon }}, nodes: map[string]*node{},
		channels: map[string]report.ChannelNote{"stable": note()}, commits: map[string]string{current: "4bd4f560"}}
	for i := range 100_000 {
		n := &node{Node: sqlstore.Node{Name: fmt.Sprintf("node-%06d", i), Channel: "stable"}, seen: noon, told: half,
			account: account{State: report.ComplianceOK, Last: report.CheckIn{Pointer: note().Pointer, Bundle: current}}}
		s.enter(n)
	}
	b.Run("status", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Status(b.Context(), 100); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("metrics", func(b *testing.B) {
		for b.Loop() {
			ch := make(chan prometheus.Metric, 1000)
			(&nodeCollector{s}).Collect(ch)
		}
	})
}
