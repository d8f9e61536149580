package reporting

import "sync"

// bells wake who delivers to a receiver.
type bells struct {
	mu sync.Mutex
	m  map[string]chan struct{}
}

// of is the bell of a receiver.
func (b *bells) of(receiver string) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil {
		b.m = map[string]chan struct{}{}
	}
	if b.m[receiver] == nil {
		b.m[receiver] = make(chan struct{}, 1)
	}
	return b.m[receiver]
}

// ring does not wait: who is awake looks again.
func (b *bells) ring(receiver string) {
	select {
	case b.of(receiver) <- struct{}{}:
	default:
	}
}
