package browser

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// A line leads from a browser to a service, and can be cut.
type line struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	isCut bool
	conns map[net.Conn]bool
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	l := &line{listener: listener, to: to, conns: map[net.Conn]bool{}}
	go l.serve()
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		l.cut()
	})
	return l
}

func (l *line) address() string { return l.listener.Addr().String() }

func (l *line) serve() {
	for {
		from, err := l.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", l.to)
		if err != nil || !l.keep(from, to) {
			_ = from.Close()
			continue
		}
		for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
			go func() {
				_, _ = io.Copy(pair[0], pair[1]) // it ends when either side does
				_, _ = pair[0].Close(), pair[1].Close()
			}()
		}
	}
}

// keep notes the ends of a connection, unless the line is cut.
func (l *line) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if l.isCut {
			_ = c.Close()
			continue
		}
		l.conns[c] = true
	}
	return !l.isCut
}

func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for c := range l.conns {
		_ = c.Close()
	}
	clear(l.conns)
}

func (l *line) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

// awaitStale waits until the service knows of a node that is stale.
func (f *fleet) awaitStale(t *testing.T) {
	t.Helper()
	often := time.NewTicker(50 * time.Millisecond)
	defer often.Stop()
	for {
		list, err := f.client.Nodes(t.Context(), report.Query{Presence: report.Stale})
		must(t, err)
		if len(list) > 0 {
			return
		}
		select {
		case <-often.C:
		case <-t.Context().Done():
			t.Fatal("no node is stale")
		}
	}
}
