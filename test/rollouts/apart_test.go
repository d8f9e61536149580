package rollouts

import (
	"cmp"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/test/programs"
)

// apart is controller, registry and report service as programs of their own, so that each can be away alone.
type apart struct {
	*fleet
	registry   string
	handler    http.Handler // of the registry
	mirror     string       // that nodes are told of instead
	root       string       // document that nodes pin
	controller *programs.Process
}

func newApart(t *testing.T, rollouts string, n int) *apart {
	t.Helper()
	a := prepareApart(t, rollouts)
	a.report()
	a.controller = a.control("controller")
	a.enrol(a.address, n)
	a.begin()
	return a
}

// prepareApart makes a fleet of which only the registry runs.
func prepareApart(t *testing.T, rollouts string) *apart {
	t.Helper()
	a := &apart{fleet: prepare(t, rollouts)}
	r, err := registry.New(registry.Options{Dir: t.TempDir(), Token: "push", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(func() {
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	a.handler = r
	a.registry = strings.TrimPrefix(server.URL, "http://") + "/vigo/lab"
	a.root = programs.Run(t, nil, "vigo", "trust", "init", "--data", filepath.Join(a.dir, "controller"))
	return a
}

// report starts the report service; again, at the address it had.
func (a *apart) report() {
	a.t.Helper()
	a.up, a.address = a.reportAt(a.data, a.address)
}

// reportAt starts a report service with a folder of data, at an address.
func (a *apart) reportAt(data, listen string, more ...string) (s *programs.Process, address string) {
	a.t.Helper()
	s, line := programs.Serve(a.t, nil, "the report service is up", "vigo", append([]string{"report", "--data", data, "--fleet", "lab", "--registry", cmp.Or(a.mirror, a.registry),
		"--plain-http", "--trust-root", a.root, "--interval", "1s", "--listen", listen}, more...)...)
	_, address, _ = strings.Cut(line, "on https://")
	return s, address
}

// control starts a controller with a folder of data.
func (a *apart) control(name string) *programs.Process {
	a.t.Helper()
	cmd := programs.Command(a.t, []string{"VIGO_REGISTRY_USER=controller", "VIGO_REGISTRY_PASSWORD=push"}, "vigo", "controller", "--data", filepath.Join(a.dir, name),
		"--git", a.repo.Dir, "--registry", a.registry, "--plain-http", "--report", filepath.Join(a.data, "controller.json"), "--listen", "127.0.0.1:0", "--poll", "200ms")
	return programs.Start(a.t, cmd)
}

// A cable carries connections to the first of its ends that takes them, and can be cut.
type cable struct {
	address string
	mu      sync.Mutex
	cut     bool
	ends    []string
	conns   map[net.Conn]bool
}

func newCable(t *testing.T, ends ...string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{address: l.Addr().String(), ends: ends, conns: map[net.Conn]bool{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			all.Go(func() { c.carry(near) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.set(true)
		all.Wait()
	})
	return c
}

// serve says where the cable leads.
func (c *cable) serve(ends ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends = ends
}

// set cuts the cable, which breaks what goes over it, or mends it.
func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	for conn := range c.conns {
		if cut {
			_ = conn.Close() // whoever uses it sees its end
		}
	}
}

// far connects to an end, unless the cable is cut.
func (c *cable) far(near net.Conn) net.Conn {
	c.mu.Lock()
	ends := c.ends
	c.mu.Unlock()
	for _, end := range ends {
		far, err := net.Dial("tcp", end)
		if err != nil {
			continue
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.cut {
			_ = far.Close() // nobody uses it yet
			return nil
		}
		c.conns[near], c.conns[far] = true, true
		return far
	}
	return nil
}

func (c *cable) carry(near net.Conn) {
	defer near.Close()
	far := c.far(near)
	if far == nil {
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1]) // its end is the end of both
			_ = near.Close()
			_ = far.Close()
		})
	}
	both.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.conns, near)
	delete(c.conns, far)
}
