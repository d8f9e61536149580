package hub

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A cable carries connections on loopback to an address, until it is cut.
type cable struct {
	at      *place
	address string // to connect to
	to      string

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	return new(place).newCable(t, to)
}

// newCable lays a cable on the loopback of a place.
func (at *place) newCable(t *testing.T, to string) *cable {
	t.Helper()
	var l net.Listener
	err := at.do(func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{at: at, address: l.Addr().String(), to: to, conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { c.carry(conn) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		c.set(true)
		all.Wait()
	})
	return c
}

// set cuts the cable, which breaks what goes over it, or mends it.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	if cut {
		for conn := range c.conns {
			conn.Close()
		}
	}
}

// hold takes note of a connection, and says whether there is a cable for it.
func (c *cable) hold(conn net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.cut {
		c.conns[conn] = true
	}
	return !c.cut
}

func (c *cable) release(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, conn)
	conn.Close()
}

func (c *cable) carry(near net.Conn) {
	defer c.release(near)
	if !c.hold(near) {
		return
	}
	var far net.Conn
	err := c.at.do(func() (err error) {
		far, err = net.Dial("tcp", c.to)
		return err
	})
	if err != nil {
		return
	}
	defer c.release(far)
	if !c.hold(far) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(near, far) // until one of them is closed
		near.Close()
	})
	_, _ = io.Copy(far, near)
	far.Close()
	back.Wait()
}
