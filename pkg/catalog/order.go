package catalog

import (
	"container/heap"
	"fmt"
	"slices"
	"sort"
	"strings"

	"vigo.dev/pkg/resource"
)

// graph is the order between items: before[i] holds those that must come before i.
type graph struct {
	before   [][]int
	notifies [][]int
}

// order resolves references and sorts the items: what is required first, otherwise as written.
func (b *builder) order() []resource.Item {
	g := b.explicit()
	if len(b.problems) > 0 {
		return nil
	}
	if loop := g.cycle(); loop != nil {
		b.cycle(loop)
		return nil
	}
	b.aware()
	b.implied(&g)
	sorted := g.sort()
	newIndex := make([]int, len(sorted))
	for at, old := range sorted {
		newIndex[old] = at
	}
	for old := range b.items {
		it := &b.items[old]
		it.Requires, it.Notifies = mapped(g.before[old], newIndex), mapped(g.notifies[old], newIndex)
	}
	if slices.IsSorted(sorted) { // as written
		return b.items
	}
	items := make([]resource.Item, len(sorted))
	for at, old := range sorted {
		items[at] = b.items[old]
	}
	return items
}

// aware tells the resources that must know what else the policy declares.
func (b *builder) aware() {
	var ids []resource.ID
	all := make([]resource.Resource, len(b.items))
	for i := range b.items {
		all[i] = b.items[i].Resource
	}
	for i, res := range all {
		if p, ok := res.(resource.Punctual); ok {
			p.Within(b.items[i].Meta.Window)
		}
		if a, ok := res.(resource.Aware); ok {
			if ids == nil {
				ids = make([]resource.ID, len(b.items))
				for i := range b.items {
					ids[i] = b.items[i].ID
				}
			}
			a.Aware(ids)
		}
		if a, ok := res.(resource.Acquainted); ok {
			a.Acquaint(all)
		}
	}
}

func mapped(old []int, newIndex []int) []int {
	if len(old) == 0 {
		return nil
	}
	all := make([]int, len(old))
	for i, o := range old {
		all[i] = newIndex[o]
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// implied adds the order that types imply, as far as it does not contradict the policy.
func (b *builder) implied(g *graph) {
	types := map[string]bool{} // most of what is asked for is of a type that nothing is of
	for i := range b.items {
		types[b.items[i].ID.Type] = true
	}
	var room []resource.ID
	for i := range b.items {
		for _, id := range requires(b.items[i].Resource, &room) {
			if !types[id.Type] {
				continue
			}
			at, there := b.byID[id]
			if !there || at == i || slices.Contains(g.before[i], at) || g.reaches(i, at) {
				continue
			}
			g.before[i] = append(g.before[i], at)
		}
	}
}

// requires is what a resource implies to come first; it holds until the next is asked.
func requires(res resource.Resource, room *[]resource.ID) []resource.ID {
	switch r := res.(type) {
	case resource.AppendRequirer:
		*room = r.AppendRequires((*room)[:0])
		return *room
	case resource.Requirer:
		return r.Requires()
	}
	return nil
}

// reaches reports whether from must come before to already.
func (g graph) reaches(from, to int) bool {
	if len(g.before[to]) == 0 {
		return from == to
	}
	seen := map[int]bool{}
	var visit func(int) bool
	visit = func(i int) bool {
		if i == from {
			return true
		}
		if seen[i] {
			return false
		}
		seen[i] = true
		return slices.ContainsFunc(g.before[i], visit)
	}
	return visit(to)
}

// sort returns the items in order; of those that are free to come next, the one written first does.
func (g graph) sort() []int {
	after := make([][]int, len(g.before))
	waits := make([]int, len(g.before))
	for i, deps := range g.before {
		for _, dep := range deps {
			after[dep] = append(after[dep], i)
			waits[i]++
		}
	}
	ready := &intHeap{}
	for i, n := range waits {
		if n == 0 {
			heap.Push(ready, i)
		}
	}
	var sorted []int
	for ready.Len() > 0 {
		i := heap.Pop(ready).(int)
		sorted = append(sorted, i)
		for _, next := range after[i] {
			if waits[next]--; waits[next] == 0 {
				heap.Push(ready, next)
			}
		}
	}
	return sorted
}

type intHeap struct{ sort.IntSlice }

func (h *intHeap) Push(x any) { h.IntSlice = append(h.IntSlice, x.(int)) }
func (h *intHeap) Pop() any {
	last := h.IntSlice[len(h.IntSlice)-1]
	h.IntSlice = h.IntSlice[:len(h.IntSlice)-1]
	return last
}

// cycle returns the items of one loop in order, or nil.
func (g graph) cycle() []int {
	const unseen, open, done = 0, 1, 2
	state := make([]int, len(g.before))
	var path, loop []int
	var visit func(int) bool
	visit = func(i int) bool {
		state[i] = open
		path = append(path, i)
		for _, dep := range g.before[i] {
			if state[dep] == open {
				loop = slices.Clone(path[slices.Index(path, dep):])
				return true
			}
			if state[dep] == unseen && visit(dep) {
				return true
			}
		}
		path = path[:len(path)-1]
		state[i] = done
		return false
	}
	for i := range g.before {
		if state[i] == unseen && visit(i) {
			slices.Reverse(loop)
			return loop
		}
	}
	return nil
}

// cycle reports a loop, whole.
func (b *builder) cycle(loop []int) {
	parts := make([]string, 0, len(loop)+1)
	for _, i := range append(loop, loop[0]) {
		parts = append(parts, fmt.Sprintf("%s (line %d)", b.items[i].Name(), b.items[i].Pos.Line))
	}
	b.fail(b.items[loop[0]].Pos, "cycle", "remove one of these requires, before, notify or subscribe", "these come before each other: %s", strings.Join(parts, " -> "))
}
