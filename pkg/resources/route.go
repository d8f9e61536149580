package resources

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Route is a static route to a network, for an interface that a network_interface has set up: a file next to that one's, for
// systemd-networkd or ifupdown. Where the interface is up, the kernel's table is compared too: a route that somebody has taken
// away comes back. The default routes are the gateways of network_interface. NetworkManager keeps routes in the file of the
// connection, which this type does not write.
//
//	resources:
//	  - route: 198.51.100.0/24
//	    interface: eth1
//	    via: 192.0.2.1
type Route struct {
	// Network that is reached, with its length: 198.51.100.0/24.
	Network string `vigo:"identity"`

	// Interface over which the router is reached.
	Interface string `yaml:"interface" vigo:"required"`

	// Via is the address of the router.
	Via string `yaml:"via"`

	// Metric of the route: of two to the same network the lower is taken. The provider chooses if it is not given.
	Metric int `yaml:"metric"`

	// Ensure says whether the route should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Provider sets the interface up; auto (the default) takes systemd-networkd if it runs, and ifupdown otherwise.
	Provider string `yaml:"provider" vigo:"enum=auto|networkd|ifupdown"`
}

var (
	_ resource.Validator = (*Route)(nil)
	_ resource.Requirer  = (*Route)(nil)
)

// Validate implements [resource.Validator].
func (r *Route) Validate() error {
	network, err := netip.ParsePrefix(r.Network)
	switch {
	case err != nil:
		return fault.WithHint(fmt.Errorf("%q is not a network with its length", r.Network), "such as 198.51.100.0/24")
	case network.Masked().String() != r.Network:
		return fault.WithHint(fmt.Errorf("%q is not how the network is written", r.Network), network.Masked().String())
	case network.Bits() == 0:
		return fault.WithHint(errors.New("the default route is not one of this type"), "the key gateways of network_interface")
	}
	if err := checkInterface(r.Interface); err != nil {
		return fmt.Errorf("interface: %w", err)
	}
	if r.Ensure == "absent" {
		return nil
	}
	via, err := netip.ParseAddr(r.Via)
	switch {
	case r.Via == "":
		return errors.New(`needs the key "via"`)
	case err != nil || via.Zone() != "" || via.Is4() != network.Addr().Is4():
		return fmt.Errorf("via: %q is not an address of the network's family", r.Via)
	case r.Metric < 0 || int64(r.Metric) > 1<<32-1:
		return fmt.Errorf("metric: %d is not between 0 and 4294967295", r.Metric)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (r *Route) Requires() []resource.ID {
	return []resource.ID{{Type: "network_interface", Name: r.Interface}, {Type: "vlan_interface", Name: r.Interface},
		{Type: "bond", Name: r.Interface}}
}

// file is where the route stands. Run-parts, which ifupdown may read the folder by, takes letters, digits and "-" alone.
func (r *Route) file(provider string) string {
	return beside(provider, r.Interface, "route-"+strings.NewReplacer("/", "-", ":", "-", ".", "-").Replace(r.Network))
}

// Plan implements [resource.Resource].
func (r *Route) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	provider, err := besideProvider(ctx, h, r.Provider)
	if err != nil {
		return resource.Plan{}, err
	}
	f := gone(r.file(provider))
	if r.Ensure != "absent" {
		f = ownedFile(f.Path, map[string]func() string{"networkd": r.networkd, "ifupdown": r.ifupdown}[provider]())
	}
	up, err := interfaceUp(h, r.Interface)
	if err != nil {
		return resource.Plan{}, err
	}
	there := false
	if up {
		if there, err = r.stands(h); err != nil {
			return resource.Plan{}, err
		}
	}
	tell := func(ctx context.Context) error { return r.tell(ctx, h, provider, up) }
	p, err := ownedPlan(ctx, h, f, tell)
	if err == nil && p.Empty() && up && r.Ensure != "absent" && !there {
		p.Do(tell, change.Of("live route", change.Absent, "present"))
	}
	return p, err
}

// tell has the route set or, when its file has gone, taken away.
func (r *Route) tell(ctx context.Context, h *host.Host, provider string, up bool) error {
	if provider == "networkd" {
		return tellBeside(ctx, h, r.file(provider), r.Interface, up)
	}
	is, err := look(h, r.file(provider))
	if err != nil || !up {
		return err
	}
	if is != nil {
		return runProgram(ctx, h, r.program("replace")...)
	}
	if there, err := r.stands(h); err != nil || !there {
		return err
	}
	return runProgram(ctx, h, "ip", "route", "delete", r.Network, "dev", r.Interface)
}

// program is what sets the route in the kernel.
func (r *Route) program(verb string) []string {
	argv := []string{"ip", "route", verb, r.Network, "via", r.Via, "dev", r.Interface}
	if r.Metric != 0 {
		argv = append(argv, "metric", strconv.Itoa(r.Metric))
	}
	return argv
}

// networkd renders a part of a file of systemd.network(5).
func (r *Route) networkd() string {
	s := ownedMark + "[Route]\nDestination=" + r.Network + "\nGateway=" + r.Via + "\n"
	if r.Metric != 0 {
		s += "Metric=" + strconv.Itoa(r.Metric) + "\n"
	}
	return s
}

// ifupdown renders a stanza of interfaces(5) beside the one that sets the interface up.
func (r *Route) ifupdown() string {
	family := "inet"
	if strings.Contains(r.Network, ":") {
		family = "inet6"
	}
	return ownedMark + "iface " + r.Interface + " " + family + " manual\n\tup " + strings.Join(r.program("replace"), " ") + "\n"
}

// stands reports whether the kernel has the route.
func (r *Route) stands(h *host.Host) (bool, error) {
	network, err := netip.ParsePrefix(r.Network)
	if err != nil {
		return false, err
	}
	name, parse := "/proc/net/route", route4
	if network.Addr().Is6() {
		name, parse = "/proc/net/ipv6_route", route6
	}
	table, err := h.FS.Read(name, 16<<20)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return false, err
	}
	for line := range strings.Lines(string(table)) {
		to, via, dev := parse(strings.Fields(line))
		if to == network && dev == r.Interface && (r.Via == "" || via.String() == r.Via) {
			return true, nil
		}
	}
	return false, nil
}

// route4 reads the fields of a line of /proc/net/route: Iface Destination Gateway Flags RefCnt Use Metric Mask; addresses are
// in the order of the machine's bytes, which is little-endian on all that Vigo is built for.
func route4(f []string) (to netip.Prefix, via netip.Addr, dev string) {
	if len(f) < 8 {
		return to, via, ""
	}
	var addrs [3]netip.Addr
	for i, s := range []string{f[1], f[2], f[7]} {
		b, err := hex.DecodeString(s)
		if err != nil || len(b) != 4 {
			return to, via, ""
		}
		slices.Reverse(b)
		addrs[i], _ = netip.AddrFromSlice(b)
	}
	bits := 0
	for _, b := range addrs[2].AsSlice() {
		for ; b&0x80 != 0; b <<= 1 {
			bits++
		}
	}
	return netip.PrefixFrom(addrs[0], bits), addrs[1], f[0]
}

// route6 reads the fields of a line of /proc/net/ipv6_route: destination, its length, source, its length, next hop, metric, two
// counters, flags and the interface.
func route6(f []string) (to netip.Prefix, via netip.Addr, dev string) {
	if len(f) < 10 {
		return to, via, ""
	}
	dest, err := hex.DecodeString(f[0])
	hop, err2 := hex.DecodeString(f[4])
	bits, err3 := strconv.ParseUint(f[1], 16, 8)
	if err != nil || err2 != nil || err3 != nil || len(dest) != 16 || len(hop) != 16 {
		return to, via, ""
	}
	addr, _ := netip.AddrFromSlice(dest)
	via, _ = netip.AddrFromSlice(hop)
	return netip.PrefixFrom(addr, int(bits)), via, f[9]
}
