package fleetsim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"vigo.dev/pkg/report"
)

// Ledger is what became of the runs that the service said it has kept.
type Ledger struct {
	Acknowledged int `json:"acknowledged"`
	Checked      int `json:"checked"` // of them, asked for in the end
	Lost         int `json:"lost"`    // of those that were checked
}

const (
	// checkedNodes is of how many nodes the runs are asked for in the end.
	checkedNodes = 1000
	// checkedRuns is how many runs of a node are asked for; a service tells the last 20.
	checkedRuns = 15
)

// ledger is what the service has acknowledged to nodes.
type ledger struct {
	mu   sync.Mutex
	runs map[string][]string // node to IDs, the last ones
	n    int
}

func (l *ledger) add(r report.Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runs == nil {
		l.runs = map[string][]string{}
	}
	ids := append(l.runs[r.Node], r.ID)
	l.runs[r.Node] = ids[max(0, len(ids)-checkedRuns):]
	l.n++
}

// audit asks the service for what it has acknowledged.
func (s *Sim) audit(ctx context.Context) (Ledger, error) {
	out := Ledger{Acknowledged: s.ledger.n}
	names := slices.Sorted(maps.Keys(s.ledger.runs))
	if len(names) > checkedNodes { // spread over all
		for i := range checkedNodes {
			names[i] = names[i*len(names)/checkedNodes]
		}
		names = names[:checkedNodes]
	}
	var checked, lost atomic.Int64
	err := s.each(ctx, "asking for runs", len(names), func(ctx context.Context, i int) error {
		n, err := s.People.Node(ctx, names[i])
		if err != nil {
			return fmt.Errorf("asking for the runs of %s: %w", names[i], err)
		}
		there := map[string]bool{}
		for _, r := range n.Runs {
			there[r.ID] = true
		}
		for _, id := range s.ledger.runs[names[i]] {
			checked.Add(1)
			if !there[id] {
				lost.Add(1)
			}
		}
		return nil
	})
	out.Checked, out.Lost = int(checked.Load()), int(lost.Load())
	return out, err
}
