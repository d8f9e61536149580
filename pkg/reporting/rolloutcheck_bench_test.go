package reporting

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/inventory"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/sqlstore"
)

// BenchmarkChecks looks at the checks of a rollout that half of 100,000 nodes have, as each step does, a tenth of them with a report since
// the last: one over a trait that is different
// for each node, compared with the others, and one over their runs.
func BenchmarkChecks(b *testing.B) {
	schema := expr.NewSchema()
	schema.Trait("load", reflect.TypeFor[struct {
		One float64 `json:"one"`
	}]())
	s := &Service{Config: Config{Fleet: "acme", Channel: "stable", Schema: schema, Now: func() time.Time { return noon }}, nodes: map[string]*node{},
		channels: map[string]report.ChannelNote{}, index: inventory.New()}
	c := &rolling{channel: "stable"}
	c.state = rollout.Begin("r1", rollout.Spec{Channel: "stable", Checks: []rollout.Check{
		{Name: "load", Expr: "load.one <= 1.5 * control(load.one)"}, {Name: "quick", Expr: "run.failed == 0 and run.seconds <= 3 * control(run.seconds)"}}}.WithDefaults(), current, newer, nil, noon)
	for i := range 100_000 {
		name := fmt.Sprintf("node-%06d", i)
		n := &node{Node: sqlstore.Node{Name: name, Channel: "stable"}, seen: noon, told: half, account: account{Last: report.CheckIn{Bundle: current, Run: report.Summary{ID: "1", Took: half / 10}}}}
		n.account.Last.Run.Counts.OK = i % 50
		if i%2 == 0 {
			n.account.Last.Bundle = newer
			c.state.Nodes[name] = rollout.Progress{Adopted: true, Seen: noon}
			if i%20 == 0 {
				n.seen = noon.Add(time.Second)
			}
		}
		s.enter(n)
		digest := fmt.Sprint("load-", i)
		s.index.Put(name, nil, map[string]string{"load": digest})
		if err := s.index.Add(inventory.Document{Trait: "load", Digest: digest, Doc: fmt.Appendf(nil, `{"one":%d.%03d}`, i%3, i%1000)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		in := rollout.Snapshot{Now: noon}
		if m := s.measure(b.Context(), c, &in); len(m.failing) != 2 || len(m.seen) != 5_000 || len(in.Unsure) > 0 || len(in.Control) != 2 {
			b.Fatalf("%v", in.Unsure)
		}
	}
}
