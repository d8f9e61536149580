package reporting

import (
	"fmt"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/sqlstore"
)

// BenchmarkMovingARollout is what the service does every three seconds for a channel of 100,000 nodes that all have the candidate and
// of which a tenth have reported since: it sees how they are, steps, and finds what is to be written.
func BenchmarkMovingARollout(b *testing.B) {
	const nodes = 100_000
	now := noon
	s := &Service{Config: Config{Fleet: "acme", Channel: "stable", Now: func() time.Time { return now }}, nodes: map[string]*node{}, began: noon.Add(-time.Hour)}
	var list []*node
	for i := range nodes {
		n := &node{Node: sqlstore.Node{Name: fmt.Sprintf("node-%06d", i), Channel: "stable"}, seen: noon, told: half,
			account: account{State: report.ComplianceOK, Last: report.CheckIn{Bundle: older, Run: report.Summary{ID: "1"}}}}
		s.enter(n)
		list = append(list, n)
	}
	spec := rollout.Spec{Channel: "stable", Stages: []rollout.Stage{{Name: "all", Size: rollout.Share{Percent: 100}}}}.WithDefaults()
	c := &rolling{channel: "stable", state: rollout.Begin("r1", spec, older, current, nil, noon)}
	written := 0
	tick := func(reported int) {
		now = now.Add(time.Millisecond)
		for i := reported % 10; i < nodes; i += 10 {
			list[i].seen, list[i].account.Last.Bundle = now, current
		}
		next, _ := rollout.Step(c.state, s.snapshot(b.Context(), c, now), nil)
		docs := map[string][]byte{}
		changedDocs(docs, &c.state, &next)
		c.state, written = next, len(docs)
	}
	for i := range 30 {
		tick(i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tick(i)
	}
	b.ReportMetric(float64(written), "docs")
	if c.state.Counts[rollout.Applied] != nodes {
		b.Fatalf("%s %v", c.state.Phase, c.state.Counts)
	}
}
