package replicas

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A balancer hands connections to its servers in turn, and to the next one when a server refuses. It looks at nothing else.
type balancer struct {
	listener net.Listener
	next     atomic.Int64

	mu      sync.Mutex
	servers []string
	conns   map[net.Conn]bool
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b := &balancer{listener: l, conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			all.Go(func() { b.carry(c) })
		}
	})
	t.Cleanup(func() {
		must(t, l.Close())
		b.mu.Lock()
		for c := range b.conns {
			_ = c.Close() // whoever uses it sees its end
		}
		b.mu.Unlock()
		all.Wait()
	})
	return b
}

func (b *balancer) address() string { return b.listener.Addr().String() }

func (b *balancer) serve(servers ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = servers
}

func (b *balancer) dial() (net.Conn, error) {
	b.mu.Lock()
	servers := b.servers
	b.mu.Unlock()
	err := error(net.ErrClosed)
	for range servers {
		var c net.Conn
		next := int(b.next.Add(1))
		from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+next%200))} // who comes from one address all the time is held back
		if c, err = (&net.Dialer{LocalAddr: from}).Dial("tcp", servers[next%len(servers)]); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// carry carries one connection until either side ends it.
func (b *balancer) carry(in net.Conn) {
	out, err := b.dial()
	if err != nil {
		_ = in.Close() // nobody is there
		return
	}
	b.mu.Lock()
	b.conns[in], b.conns[out] = true, true
	b.mu.Unlock()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // its end is the end of both
			_ = in.Close()
			_ = out.Close()
		})
	}
	both.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, in)
	delete(b.conns, out)
}
