package reporting

import (
	"fmt"
	"testing"

	"vigo.dev/pkg/sqlstore"
)

// Each node is looked at once, in the order in which they came; one that takes the name of another takes its place, and one that comes
// meanwhile is looked at, too.
func TestEachNode(t *testing.T) {
	t.Parallel()
	s := &Service{nodes: map[string]*node{}}
	named := func(i int) *node { return &node{Node: sqlstore.Node{Name: fmt.Sprint("web-", i)}} }
	s.eachNode(func(*node) { t.Error("there is none") })
	const all = 2*atOnce + 1
	for i := range all - 1 {
		s.enter(named(i))
	}
	again := named(7)
	s.enter(again)
	var seen []*node
	s.eachNode(func(n *node) {
		if seen = append(seen, n); len(seen) == 1 {
			s.enter(named(all - 1))
		}
	})
	if len(seen) != all || len(s.nodes) != all || seen[7] != again {
		t.Fatalf("%d of %d nodes were looked at, and as the seventh %+v", len(seen), all, seen[7])
	}
	for i, n := range seen {
		if n.Name != fmt.Sprint("web-", i) || s.nodes[n.Name] != n {
			t.Errorf("as number %d came %s", i, n.Name)
		}
	}
}
