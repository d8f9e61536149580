package reporting

// atOnce is how many nodes are looked at before others, such as check-ins, have their turn.
const atOnce = 1000

// enter takes a node in, in place of one of the same name. The caller holds the lock, or has the service to itself.
func (s *Service) enter(n *node) {
	if old, ok := s.nodes[n.Name]; ok {
		n.place = old.place
		s.entered[n.place] = n
	} else {
		n.place = len(s.entered)
		s.entered = append(s.entered, n)
	}
	s.nodes[n.Name] = n
}

// eachNode looks at all nodes, some at once under the lock of the service: of 100,000 it takes a tenth of a second, in which nobody
// could check in. They come in the order in which they were taken in, which is that of their place in memory: in that of the map, the
// processor waits for each. The caller does not hold the lock.
func (s *Service) eachNode(look func(*node)) {
	for from := 0; s.someNodes(from, look); from += atOnce {
	}
}

// someNodes looks at the next nodes, and reports false when there are no more.
func (s *Service) someNodes(from int, look func(*node)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.entered[min(from, len(s.entered)):min(from+atOnce, len(s.entered))] {
		look(n)
	}
	return from+atOnce < len(s.entered)
}
