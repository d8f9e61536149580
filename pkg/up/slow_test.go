package up

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener without a network, so that the time of its connections can be that of a bubble.
type pipes struct{ conns chan net.Conn }

// Accept implements net.Listener.
func (p pipes) Accept() (net.Conn, error) {
	if c, ok := <-p.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (p pipes) Close() error {
	close(p.conns)
	return nil
}

// Addr implements net.Listener.
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }

// TestSlow ends connections that say nothing, and those that take for ever to say it, when their time is over: in the clock of a
// bubble, so that it is the same on a machine that is busy.
func TestSlow(t *testing.T) {
	t.Parallel()
	lim := usualLimits()
	if lim.header <= 0 || lim.read <= 0 || lim.write <= 0 || lim.idle <= 0 {
		t.Fatalf("a limit is missing: %+v", lim)
	}
	const header, body = "GET / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
	for name, c := range map[string]struct {
		said, again string // at first, and every second after it
		after       time.Duration
	}{
		"nothing":                    {"", "", lim.header},
		"half a header":              {header + "X-A", "", lim.header},
		"half a body":                {body + "half", "", lim.read},
		"a request, and idle":        {header + "\r\n", "", lim.idle},
		"a header that has no end":   {header, "X-A: b\r\n", lim.header},
		"a body that takes too long": {body, "b", lim.read},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { ends(t, lim, c.said, c.again, c.after) })
		})
	}
}

// ends fails unless the server closes a connection on which this is said when the time is over, and not before.
func ends(t *testing.T, lim limits, said, again string, after time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := pipes{make(chan net.Conn, 1)}
	near, far := net.Pipe()
	l.conns <- far
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
	var talk sync.WaitGroup
	served := make(chan error, 1)
	go func() { served <- serve(ctx, l, echo, nil, slog.New(slog.DiscardHandler), lim) }()
	defer func() {
		_ = near.Close()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		talk.Wait()
	}()
	began, closed := time.Now(), make(chan time.Time, 1)
	go func() {
		_, _ = io.Copy(io.Discard, near)
		closed <- time.Now()
	}()
	talk.Go(func() {
		_, err := io.WriteString(near, said)
		for err == nil && again != "" {
			time.Sleep(time.Second)
			_, err = io.WriteString(near, again)
		}
	})
	select {
	case end := <-closed:
		if took := end.Sub(began); took < after || took > after+2*time.Second {
			t.Errorf("it was closed after %s, want %s", took, after)
		}
	case <-time.After(24 * time.Hour):
		t.Error("it is open after a day")
	}
}
