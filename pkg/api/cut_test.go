package api

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
)

// TestAQuestionThatIsCutOffIsAskedOnceMore: a service behind a balancer was killed, and the next connection is to another one. What
// changes something is not sent twice, and what stays dead is not asked for ever.
func TestAQuestionThatIsCutOffIsAskedOnceMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	front := cutting{to: strings.TrimPrefix(r.server.URL, "https://")}
	c, err := NewOperatorClient("https://"+front.serve(t), r.operators[identity.RoleAdmin].Text(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)

	front.dead.Store(1)
	if _, err := c.Status(t.Context(), 1); err != nil {
		t.Errorf("after one that was cut off: %v", err)
	}
	c.Close()
	front.dead.Store(2)
	if _, err := c.Status(t.Context(), 1); !errors.Is(err, ErrUnreachable) {
		t.Errorf("after two: %v", err)
	}
	front.dead.Store(1)
	if _, err := c.CreateToken(t.Context(), TokenRequest{}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a command that was cut off: %v", err)
	}
	if _, err := c.CreateToken(t.Context(), TokenRequest{}); err != nil {
		t.Errorf("and given again: %v", err)
	}
}

// cutting is a balancer with so many dead services before the one that works.
type cutting struct {
	to   string
	dead atomic.Int32
}

func (b *cutting) serve(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			from, err := ln.Accept()
			if err != nil {
				return
			}
			go b.carry(from)
		}
	}()
	return ln.Addr().String()
}

func (b *cutting) carry(from net.Conn) {
	defer from.Close()
	if b.dead.Add(-1) >= 0 {
		return
	}
	to, err := net.Dial("tcp", b.to)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		defer from.Close()
		_, _ = io.Copy(from, to)
	}()
	_, _ = io.Copy(to, from)
}
