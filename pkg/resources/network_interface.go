package resources

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// NetworkInterface is how one network interface gets its addresses: a file of systemd-networkd, of ifupdown or of
// NetworkManager, which is told of it when it has changed. Where the interface is there and up, its addresses and MTU in the
// kernel are compared too: a declared one that somebody has taken away comes back. Further addresses are left alone. An
// interface that is not there yet, or has no carrier, gets its file, and its addresses when it comes.
//
// A wrong address cuts the machine off from its controller, and it cannot be told better then: give it a guard, which puts the old
// file back if the machine does not reach its service. Try a change on one machine first, and keep a way in.
//
//	resources:
//	  - network_interface: eth1
//	    addresses: [192.0.2.7/24, "2001:db8::7/64"]
//	    gateways: [192.0.2.1]
//	    dns: [192.0.2.53]
//	    guard: {confirm: checkin, timeout: 5m}
//	  - network_interface: eth2
//	    dhcp: both
type NetworkInterface struct {
	// Name of the interface, as the kernel has it.
	Name string `vigo:"identity"`

	// Ensure says whether the file should be there. Absent leaves the interface as it is until it is next set up.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// DHCP asks for addresses of these families; none by default. With none and no addresses the interface is only set up, for
	// what is built on it.
	DHCP string `yaml:"dhcp" vigo:"enum=none|ipv4|ipv6|both"`

	// Addresses are those of the interface, with the length of the network: 192.0.2.7/24.
	Addresses []string `yaml:"addresses"`

	// Gateways are the default routers, at most one of IPv4 and one of IPv6.
	Gateways []string `yaml:"gateways"`

	// DNS are the addresses of name servers that are asked over this interface. Ifupdown hands them to resolvconf.
	DNS []string `yaml:"dns"`

	// Search are the domains in which short names are looked for.
	Search []string `yaml:"search"`

	// MTU is the largest packet in bytes, from 576 to 65536.
	MTU int `yaml:"mtu"`

	// Provider sets the interface up; auto (the default) takes NetworkManager or systemd-networkd, whichever runs, and
	// ifupdown if neither does.
	Provider string `yaml:"provider" vigo:"enum=auto|networkd|ifupdown|networkmanager"`
}

var (
	_ resource.Validator = (*NetworkInterface)(nil)
	_ resource.Requirer  = (*NetworkInterface)(nil)
)

// checkInterface says what is wrong with the name of an interface: the kernel takes 15 bytes.
func checkInterface(name string) error {
	if err := checkWord("the name", name); err != nil {
		return err
	}
	if len(name) > 15 {
		return fmt.Errorf("the name: %q is longer than the 15 bytes the kernel takes", name)
	}
	return nil
}

// Validate implements [resource.Validator].
func (n *NetworkInterface) Validate() error {
	if err := checkInterface(n.Name); err != nil {
		return err
	}
	if n.Ensure == "absent" {
		return nil
	}
	switch {
	case n.DHCP == "" && len(n.Addresses) == 0:
		return errors.New(`needs the key "dhcp" or "addresses"`)
	case n.MTU != 0 && (n.MTU < 576 || n.MTU > 65536):
		return fmt.Errorf("mtu: %d is not between 576 and 65536", n.MTU)
	}
	for _, a := range n.Addresses {
		p, err := netip.ParsePrefix(a)
		if err != nil {
			return fault.WithHint(fmt.Errorf("addresses: %q is not an address with the length of its network", a), "such as 192.0.2.7/24")
		}
		if p.Addr().Zone() != "" || p.Addr().IsUnspecified() || p.Addr().IsMulticast() {
			return fmt.Errorf("addresses: %q cannot be the address of an interface", a)
		}
	}
	seen := map[bool]bool{}
	for _, g := range n.Gateways {
		addr, err := netip.ParseAddr(g)
		if err != nil || addr.Zone() != "" {
			return fmt.Errorf("gateways: %q is not an address", g)
		}
		if seen[addr.Is4()] {
			return fmt.Errorf("gateways: %q is a second one of its family", g)
		}
		seen[addr.Is4()] = true
		if !n.reaches(addr) {
			return fmt.Errorf("gateways: %s is in the network of no address", g)
		}
	}
	for _, s := range n.DNS {
		if _, ok := parseAddress(s); !ok {
			return fmt.Errorf("dns: %q is not an address", s)
		}
	}
	for _, s := range n.Search {
		if !hostEntryName.MatchString(s) {
			return fmt.Errorf("search: %q is not a domain", s)
		}
	}
	return nil
}

// reaches reports whether a router is in a network of the interface. With link-local addresses, IPv6 always has one.
func (n *NetworkInterface) reaches(addr netip.Addr) bool {
	return addr.IsLinkLocalUnicast() || slices.ContainsFunc(n.Addresses, func(a string) bool {
		p, err := netip.ParsePrefix(a)
		return err == nil && p.Contains(addr)
	})
}

// Requires implements [resource.Requirer].
func (n *NetworkInterface) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "ifupdown"}, {Type: "package", Name: "network-manager"},
		{Type: "service", Name: "systemd-networkd"}, {Type: "service", Name: "NetworkManager"},
		{Type: "vlan_interface", Name: n.Name}, {Type: "bond", Name: n.Name}}
}

// Plan implements [resource.Resource].
func (n *NetworkInterface) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	provider, err := networkProvider(ctx, h, n.Provider)
	if err != nil {
		return resource.Plan{}, err
	}
	f := networkFile(provider, n.Name)
	if n.Ensure == "absent" {
		return f.Plan(ctx, h)
	}
	body := map[string]func() string{"networkd": n.networkd, "ifupdown": n.ifupdown, "networkmanager": n.manager}[provider]()
	mode := f.Mode
	f = ownedFile(f.Path, body)
	if mode != nil {
		f.Mode = mode
	}
	if provider == "ifupdown" {
		if err := n.sourced(h); err != nil {
			return resource.Plan{}, err
		}
	}
	is, err := liveInterface(ctx, h, n.Name)
	if err != nil {
		return resource.Plan{}, err
	}
	tell := func(ctx context.Context) error { return tellNetwork(ctx, h, provider, n.Name, is != nil) }
	p, err := ownedPlan(ctx, h, f, tell)
	if err != nil || is == nil || !p.Empty() {
		return p, err
	}
	lacks, err := n.lacks(h, *is)
	if len(lacks) > 0 {
		p.Do(tell, lacks...)
	}
	return p, err
}

// lacks is what the kernel has otherwise than declared, of an interface that is up.
func (n *NetworkInterface) lacks(h *host.Host, is host.Interface) ([]change.Change, error) {
	if up, err := interfaceUp(h, n.Name); err != nil || !up {
		return nil, err
	}
	var changes []change.Change
	for _, a := range n.Addresses {
		want, err := netip.ParsePrefix(a)
		has := func(s string) bool {
			p, err := netip.ParsePrefix(s)
			return err == nil && p == want
		}
		if err == nil && !slices.ContainsFunc(is.Addresses, has) {
			changes = append(changes, change.Of("live address "+a, change.Absent, "present"))
		}
	}
	if n.MTU != 0 && is.MTU != n.MTU {
		changes = append(changes, change.Of("live mtu", is.MTU, n.MTU))
	}
	return changes, nil
}
