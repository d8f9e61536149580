package reporting

// atOnce is how many nodes are looked at before others, such as check-ins, have their turn.
const atOnce = 1000

// enter takes a node in, in place of one of the same name. The caller holds the lock, or has the service to itself.
func (s *Service) enter(n *node) {
	if old, ok := s.nodes[n.Name]; ok {
		n.place = old.place
		s.entered[n.place] = n
	} else if last := len(s.vacant) - 1; last >= 0 {
		n.place, s.vacant = s.vacant[last], s.vacant[:last]
		s.entered[n.place] = n
	} else {
		n.place = len(s.entered)
		s.entered = append(s.entered, n)
	}
	s.nodes[n.Name] = n
}

// leave has a node be forgotten. Its place stays vacant until another one is taken in, so that who looks at all nodes now misses none
// of the others. The caller holds the lock.
func (s *Service) leave(n *node) {
	delete(s.nodes, n.Name)
	s.entered[n.place] = nil
	s.vacant = append(s.vacant, n.place)
	if n.unread {
		n.unread = false
		s.untold.nodes--
	}
	if s.newest == n {
		s.newest = nil
	}
	s.index.Remove(n.Name)
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
		if n != nil {
			look(n)
		}
	}
	return from+atOnce < len(s.entered)
}
