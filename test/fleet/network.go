//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// HostName is what machines call the [Host] of their network, by /etc/hosts.
const HostName = "fleet-host"

// subnet holds every network; networks do not see each other, so all of them use it.
var subnet = netip.MustParsePrefix("10.77.0.0/24")

// Network is a switch with machines and a [Host] on it, or several. Nothing leads out of it.
type Network struct {
	sw   *netns
	host *Host

	mu    sync.Mutex
	ports []*port
	more  []*netns // of further hosts
}

// NewNetwork makes a network that lasts until the end of the test.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	Require(t)
	n := &Network{}
	t.Cleanup(func() {
		if err := n.close(); err != nil {
			t.Errorf("removing the network: %v", err)
		}
	})
	if err := n.open(); err != nil {
		t.Fatalf("making a network: %v", err)
	}
	return n
}

// open makes the switch and the place of the host.
func (n *Network) open() error {
	var err error
	if n.sw, err = newNetns(); err != nil {
		return err
	}
	if err := n.sw.ip("link", "add", "name", mainBridge, "type", "bridge"); err != nil {
		return err
	}
	if err := n.sw.ip("link", "set", mainBridge, "up"); err != nil {
		return err
	}
	ns, err := newNetns()
	if err != nil {
		return err
	}
	n.host = &Host{ns: ns}
	n.host.port, err = n.attach(ns, netip.MustParseAddr("10.77.0.1"))
	return err
}

// close removes the network, once its machines are gone.
func (n *Network) close() error {
	var errs []error
	for _, p := range n.ports {
		errs = append(errs, p.close())
	}
	if n.host != nil {
		errs = append(errs, n.host.ns.close())
	}
	for _, ns := range n.more {
		errs = append(errs, ns.close())
	}
	if n.sw != nil {
		errs = append(errs, n.sw.close())
	}
	return errors.Join(errs...)
}

// Host returns the place on the network for programs of this side.
func (n *Network) Host() *Host { return n.host }

// NewHost makes a further place for programs of this side, whose link can be cut while the others have theirs. It lasts as long
// as the network.
func (n *Network) NewHost(t testing.TB) *Host {
	t.Helper()
	ns, err := newNetns()
	if err != nil {
		t.Fatal(err)
	}
	n.mu.Lock()
	n.more = append(n.more, ns)
	n.mu.Unlock()
	p, err := n.attach(ns, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	return &Host{port: p, ns: ns}
}

// attach puts a namespace on the network, as eth0; the zero address asks for the next free one.
func (n *Network) attach(ns *netns, addr netip.Addr) (*port, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &port{sw: n.sw, id: len(n.ports), addr: addr}
	if !addr.IsValid() {
		bytes := subnet.Addr().As4()
		bytes[3] = byte(10 + p.id) // 11, 12, …: the host is the first on the switch
		p.addr = netip.AddrFrom4(bytes)
		if p.id > 200 {
			return nil, errors.New("the network is full")
		}
	}
	n.ports = append(n.ports, p)
	steps := []struct {
		ns   *netns
		args []string
	}{
		{n.sw, []string{"link", "add", "name", p.name(), "type", "veth", "peer", "name", "eth0", "netns", ns.path()}},
		{n.sw, []string{"link", "set", p.name(), "master", mainBridge, "up"}},
		{ns, []string{"address", "add", netip.PrefixFrom(p.addr, subnet.Bits()).String(), "dev", "eth0"}},
		{ns, []string{"link", "set", "eth0", "up"}},
	}
	for _, s := range steps {
		if err := s.ns.ip(s.args...); err != nil {
			return nil, fmt.Errorf("attaching to the network: %w", err)
		}
	}
	return p, nil
}

// Host is a place on a [Network] for servers and clients that run on this computer rather than on a machine.
type Host struct {
	*port
	ns *netns
}

// Command prepares a program of this computer to run on the network. It is to be started and waited for as any
// [exec.Cmd]; its process is the program itself, and is killed when ctx ends.
func (h *Host) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + h.ns.path(), "--", name}, args...)...)
}

// Listen listens on the network from inside the test. The address is numeric: "10.77.0.1:8080", ":0".
func (h *Host) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var l net.Listener
	err := h.ns.do(func() (err error) {
		var config net.ListenConfig
		l, err = config.Listen(ctx, network, address)
		return err
	})
	return l, err
}

// DialContext connects over the network from inside the test; it fits an [net/http.Transport]. The address is numeric.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dialling on the fleet's network: %w", err)
	}
	var c net.Conn
	err := h.ns.do(func() (err error) {
		dialer := net.Dialer{FallbackDelay: -1 * time.Second}
		c, err = dialer.DialContext(ctx, network, address)
		return err
	})
	return c, err
}
