package kill

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// wire is a way to a server that can be cut: connections end, and new ones are turned away.
type wire struct {
	listener net.Listener

	mu    sync.Mutex
	to    string
	whole bool
	conns map[net.Conn]bool
}

func newWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, whole: true, conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			all.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		w.set(false)
		all.Wait()
	})
	return w
}

func (w *wire) address() string { return w.listener.Addr().String() }

// set mends the wire or cuts it.
func (w *wire) set(whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = whole
	if whole {
		return
	}
	for c := range w.conns {
		_ = c.Close() // whoever uses it sees its end
	}
}

// keep remembers a connection, and says whether it may be used.
func (w *wire) keep(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		w.conns[c] = true
	}
	return w.whole
}

func (w *wire) carry(in net.Conn) {
	defer in.Close()
	if !w.keep(in) {
		return
	}
	out, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer out.Close()
	if !w.keep(out) {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, err := io.Copy(in, out)
		_ = errors.Join(err, in.Close(), out.Close()) // one end is the end of both
	}()
	_, err = io.Copy(out, in)
	_ = errors.Join(err, in.Close(), out.Close())
	<-back
}
