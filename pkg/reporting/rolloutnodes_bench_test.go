package reporting

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/sqlstore"
)

// BenchmarkRolloutNodes looks for those that failed among 100,000 nodes that a rollout has reached: what a page of the dashboard
// that shows them costs.
func BenchmarkRolloutNodes(b *testing.B) {
	db, err := sqlstore.Open(b.Context(), filepath.Join(b.TempDir(), "report.db"), sqlstore.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	s := &Service{Config: Config{DB: db, Now: func() time.Time { return noon }}}
	state := rollout.Begin("r", oneThenAll(current, "c0ffee").Spec, older, current, nil, noon)
	docs := map[string][]byte{headDoc: encoded(state)}
	for i := range 100_000 {
		p := rollout.Progress{Word: rollout.Healthy, Members: 1, Admitted: true, Adopted: true, Good: noon, Seen: noon, Reports: 7}
		if i%2000 == 0 {
			p.Word = rollout.Failed
		}
		docs[fmt.Sprintf("%snode-%06d", nodePrefix, i)] = encoded(p)
	}
	if err := db.PutRollout(b.Context(), "stable", docs); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		list, err := s.RolloutNodes(b.Context(), "stable", rollout.Failed, 200)
		if err != nil || list.Matched != 50 {
			b.Fatal(list.Matched, err)
		}
	}
}
