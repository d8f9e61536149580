//go:build linux

package fleet

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

const mainBridge = "switch"

// port is the place of a machine, or of the host, on the switch.
type port struct {
	sw   *netns
	id   int
	addr netip.Addr

	mu    sync.Mutex
	relay *relay
}

// errNoNetwork is the answer of a machine without a network to what concerns its link.
var errNoNetwork = errors.New("the machine is on no network")

// name is what the switch calls the interface.
func (p *port) name() string { return fmt.Sprintf("port%d", p.id) }

// Addr returns the address on the network.
func (p *port) Addr() netip.Addr { return p.addr }

// CutLink pulls the cable at the side of the switch: eth0 loses its carrier.
func (p *port) CutLink() error {
	if err := p.set("down"); err != nil {
		return fmt.Errorf("cutting the link: %w", err)
	}
	return nil
}

// RestoreLink plugs the cable in again.
func (p *port) RestoreLink() error {
	if err := p.set("up"); err != nil {
		return fmt.Errorf("restoring the link: %w", err)
	}
	return nil
}

// set changes the state of the interface at the side of the switch.
func (p *port) set(state string) error {
	if p.sw == nil {
		return errNoNetwork
	}
	return p.sw.ip("link", "set", p.name(), state)
}

// Delay makes every packet, in both directions, arrive d later, and loses the given part of them (0 to 1). It lasts
// until it is called again; 0, 0 makes the link good. The packets go through this process, for not every kernel has
// netem.
func (p *port) Delay(d time.Duration, loss float64) error {
	if d < 0 || loss < 0 || loss > 1 {
		return fmt.Errorf("delaying the link: %v and a loss of %v make no sense", d, loss)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sw == nil {
		return fmt.Errorf("delaying the link: %w", errNoNetwork)
	}
	if p.relay == nil {
		if d == 0 && loss == 0 {
			return nil
		}
		r, err := p.interpose()
		if err != nil {
			return fmt.Errorf("delaying the link: %w", err)
		}
		p.relay = r
	}
	p.relay.set(d, loss)
	return nil
}

// interpose puts a relay between the port and the switch: the port moves to a bridge of its own, and each bridge gets
// one of the relay's ends.
func (p *port) interpose() (*relay, error) {
	bridge := fmt.Sprintf("slow%d", p.id)
	ends := [2]string{fmt.Sprintf("near%d", p.id), fmt.Sprintf("far%d", p.id)}
	r, err := openRelay(p.sw, ends)
	if err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"link", "add", "name", bridge, "type", "bridge"},
		{"link", "set", bridge, "up"},
		{"link", "set", ends[0], "master", bridge, "up"},
		{"link", "set", ends[1], "master", mainBridge, "up"},
		{"link", "set", p.name(), "master", bridge},
	} {
		if err := p.sw.ip(args...); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

// close ends the relay.
func (p *port) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.relay == nil {
		return nil
	}
	return p.relay.close()
}
