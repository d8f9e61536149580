package agent

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"vigo.dev/pkg/report"
)

// refusalLimit bounds the different refusals remembered at once; the oldest go first.
const refusalLimit = 16

// refusals remembers what the agent would not accept, until a cycle accepts what is published.
type refusals struct {
	mu   sync.Mutex
	list []report.Refusal
	seen map[[2]string]bool // name and what, in this cycle
}

// Begin begins a cycle.
func (r *refusals) Begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = map[[2]string]bool{}
}

// Add counts a refusal.
func (r *refusals) Add(now time.Time, name, detail, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen != nil {
		r.seen[[2]string{name, what}] = true
	}
	for i := range r.list {
		if r.list[i].Name == name && r.list[i].What == what {
			r.list[i].Count++
			r.list[i].Detail = detail
			return
		}
	}
	if len(r.list) == refusalLimit {
		oldest := slices.MinFunc(r.list, func(a, b report.Refusal) int { return a.First.Compare(b.First) })
		r.list = slices.DeleteFunc(r.list, func(e report.Refusal) bool { return e == oldest })
	}
	r.list = append(r.list, report.Refusal{Name: name, Detail: detail, What: what, First: now, Count: 1})
}

// Settle ends a cycle in which what is published was accepted: only what was refused in this cycle stays.
func (r *refusals) Settle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = slices.DeleteFunc(r.list, func(e report.Refusal) bool { return !r.seen[[2]string{e.Name, e.What}] })
}

// All returns a copy, by name.
func (r *refusals) All() []report.Refusal {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.list)
	slices.SortFunc(all, func(a, b report.Refusal) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
