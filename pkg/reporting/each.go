package reporting

import (
	"maps"
	"slices"
)

// atOnce is how many nodes are looked at before others, such as check-ins, have their turn.
const atOnce = 1000

// eachNode looks at all nodes, some at once under the lock of the service: of 100,000 it takes a tenth of a second, in which nobody
// could check in. The caller does not hold the lock.
func (s *Service) eachNode(look func(*node)) {
	s.mu.Lock()
	nodes := slices.Collect(maps.Values(s.nodes))
	s.mu.Unlock()
	for some := range slices.Chunk(nodes, atOnce) {
		s.mu.Lock()
		for _, n := range some {
			look(n)
		}
		s.mu.Unlock()
	}
}
