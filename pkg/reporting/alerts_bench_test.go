package reporting

import (
	"fmt"
	"testing"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// BenchmarkAlerts looks at 100,000 nodes by the usual rules, all well or 2,000 of them stale, and decides; nothing is written.
func BenchmarkAlerts(b *testing.B) {
	for _, stale := range []int{0, 2000} {
		b.Run(fmt.Sprintf("stale=%d", stale), func(b *testing.B) {
			s := &Service{Config: Config{Fleet: "acme", Channel: "stable", Now: func() time.Time { return noon }}, nodes: map[string]*node{}}
			s.useRules(nil)
			for i := range 100_000 {
				n := &node{Node: sqlstore.Node{Name: fmt.Sprintf("node-%06d", i), Channel: "stable", CertExpires: noon.AddDate(0, 0, 5)}, seen: noon, told: half,
					account: account{State: report.ComplianceOK}}
				if i < stale {
					n.seen = noon.Add(-10 * time.Minute)
				}
				s.enter(n)
			}
			state := alert.State{}
			for b.Loop() {
				looks := []*alert.Look{}
				for _, r := range s.alerts.rules {
					if alert.Condition(&r.AlertRule) == "" {
						looks = append(looks, alert.NewLook(r.AlertRule, nil))
					}
				}
				s.lookAll(looks, noon)
				facts := alert.Facts{}
				for _, l := range looks {
					facts[l.Name] = l.Found()
				}
				state = state.With(alert.Step(s.alertSetup(), state, facts, noon))
			}
			if len(state.Alerts) != stale {
				b.Errorf("%d alerts", len(state.Alerts))
			}
		})
	}
}
