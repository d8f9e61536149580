package resources

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// networkProvider is what sets up the interfaces of a machine.
func networkProvider(ctx context.Context, h *host.Host, named string) (string, error) {
	if named != "" && named != "auto" {
		return named, nil
	}
	for _, c := range []struct{ service, provider string }{{"NetworkManager", "networkmanager"}, {"systemd-networkd", "networkd"}} {
		s, err := h.Services.Service(ctx, c.service)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return "", err
		}
		if err == nil && (s.Live && s.Running || !s.Live && s.Boot == host.Enabled) {
			return c.provider, nil
		}
	}
	is, err := look(h, "/etc/network/interfaces")
	if err != nil {
		return "", err
	}
	if is == nil {
		return "", fault.WithHint(errors.New("neither NetworkManager, systemd-networkd nor ifupdown sets up this machine"),
			"name the provider, and declare its package or service")
	}
	return "ifupdown", nil
}

// networkFile is the file of an interface, as one that should not be there. Those of NetworkManager hold secrets, and are for
// root alone.
func networkFile(provider, name string) *File {
	switch provider {
	case "networkd":
		return gone("/etc/systemd/network/10-vigo-" + name + ".network")
	case "ifupdown":
		return gone("/etc/network/interfaces.d/vigo-" + name)
	}
	f := gone("/etc/NetworkManager/system-connections/vigo-" + name + ".nmconnection")
	f.Mode = &resource.Mode{Perm: 0o600}
	return f
}

// liveInterface finds an interface in the kernel; nil if it is not there.
func liveInterface(ctx context.Context, h *host.Host, name string) (*host.Interface, error) {
	all, err := h.Kernel.Interfaces(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the interfaces: %w", err)
	}
	for _, i := range all {
		if i.Name == name {
			return &i, nil
		}
	}
	return nil, nil
}

// interfaceUp reports whether an interface can carry packets.
func interfaceUp(h *host.Host, name string) (bool, error) {
	state, err := h.FS.Read("/sys/class/net/"+name+"/operstate", 4096) // sysfs calls every file a page long
	if errors.Is(err, host.ErrNotFound) {
		return false, nil
	}
	// A kind without carrier, such as dummy, is unknown when it is up: kernel, Documentation/networking/operstates.rst.
	s := strings.TrimSpace(string(state))
	return s == "up" || s == "unknown", err
}

// tellNetwork has the provider read its files and, if the interface is there, set it up.
func tellNetwork(ctx context.Context, h *host.Host, provider, name string, there bool) error {
	switch provider {
	case "networkd":
		return tellNetworkd(ctx, h, name, there)
	case "networkmanager":
		err := runProgram(ctx, h, "nmcli", "connection", "reload")
		if err == nil && there {
			err = runProgram(ctx, h, "nmcli", "connection", "up", "id", "vigo-"+name)
		}
		return err
	}
	if !there {
		return nil
	}
	// An interface that was not up by ifupdown's reckoning cannot be taken down: only ifup tells whether all went well.
	if _, err := h.Run.Run(ctx, host.Command{Argv: []string{"ifdown", "--force", name}}); err != nil {
		return err
	}
	return runProgram(ctx, h, "ifup", name)
}

func tellNetworkd(ctx context.Context, h *host.Host, name string, there bool) error {
	s, err := h.Services.Service(ctx, "systemd-networkd")
	if errors.Is(err, host.ErrNotFound) || err == nil && (!s.Live || !s.Running) {
		return nil // it reads its files when it starts
	}
	if err != nil {
		return err
	}
	if err := runProgram(ctx, h, "networkctl", "reload"); err != nil || !there {
		return err
	}
	if err := runProgram(ctx, h, "networkctl", "reconfigure", name); err != nil {
		return err
	}
	return awaitNetworkd(ctx, h, name)
}

// awaitNetworkd waits until systemd-networkd has set interfaces up, for some seconds. Addresses of the file are set at once; those
// that are asked for, and routers that are looked for, are not waited for. The next look at the kernel tells whether something is
// missing.
func awaitNetworkd(ctx context.Context, h *host.Host, interfaces ...string) error {
	const wait = "/usr/lib/systemd/systemd-networkd-wait-online"
	is, err := look(h, wait)
	if err != nil || is == nil || len(interfaces) == 0 {
		return err
	}
	argv := []string{wait}
	for _, name := range interfaces {
		argv = append(argv, "--interface="+name)
	}
	_, err = h.Run.Run(ctx, host.Command{Argv: append(argv, "--timeout=5")})
	return err
}

// networkd renders a file of systemd.network(5).
func (n *NetworkInterface) networkd() string {
	var b strings.Builder
	b.WriteString(ownedMark + "[Match]\nName=" + n.Name + "\n")
	if n.MTU != 0 {
		b.WriteString("\n[Link]\nMTUBytes=" + strconv.Itoa(n.MTU) + "\n")
	}
	dhcp := map[string]string{"": "no", "none": "no", "ipv4": "ipv4", "ipv6": "ipv6", "both": "yes"}[n.DHCP]
	b.WriteString("\n[Network]\nDHCP=" + dhcp + "\n")
	for key, values := range [][]string{n.Addresses, n.Gateways, n.DNS} {
		for _, v := range values {
			b.WriteString([]string{"Address", "Gateway", "DNS"}[key] + "=" + v + "\n")
		}
	}
	if len(n.Search) > 0 {
		b.WriteString("Domains=" + strings.Join(n.Search, " ") + "\n")
	}
	return b.String()
}

// family returns those of addresses that are IPv4, or IPv6.
func family(list []string, four bool) []string {
	var found []string
	for _, s := range list {
		text, _, _ := strings.Cut(s, "/")
		if a, err := netip.ParseAddr(text); err == nil && a.Is4() == four {
			found = append(found, s)
		}
	}
	return found
}

// ifupdown renders stanzas of interfaces(5): one for each address.
func (n *NetworkInterface) ifupdown() string {
	var b strings.Builder
	b.WriteString(ownedMark + "auto " + n.Name + "\n")
	extra := "" // in the first stanza
	if n.MTU != 0 {
		extra += "\tmtu " + strconv.Itoa(n.MTU) + "\n"
	}
	if len(n.DNS) > 0 {
		extra += "\tdns-nameservers " + strings.Join(n.DNS, " ") + "\n"
	}
	if len(n.Search) > 0 {
		extra += "\tdns-search " + strings.Join(n.Search, " ") + "\n"
	}
	stanza := func(inet, method, lines string) {
		b.WriteString("\niface " + n.Name + " " + inet + " " + method + "\n" + lines + extra)
		extra = ""
	}
	for _, four := range []bool{true, false} {
		inet, asked := "inet", n.DHCP == "ipv4" || n.DHCP == "both"
		if !four {
			inet, asked = "inet6", n.DHCP == "ipv6" || n.DHCP == "both"
		}
		gateway := family(n.Gateways, four)
		for _, a := range family(n.Addresses, four) {
			lines := "\taddress " + a + "\n"
			if len(gateway) > 0 {
				lines, gateway = lines+"\tgateway "+gateway[0]+"\n", nil
			}
			stanza(inet, "static", lines)
		}
		if asked {
			stanza(inet, "dhcp", "")
		}
	}
	if len(n.Addresses) == 0 && (n.DHCP == "" || n.DHCP == "none") {
		stanza("inet", "manual", "\tup ip link set dev "+n.Name+" up\n")
	}
	return b.String()
}

// sourced says what keeps ifupdown from reading the file, or what else it has for the interface.
func (n *NetworkInterface) sourced(h *host.Host) error {
	const main = "/etc/network/interfaces"
	if n.MTU != 0 && len(n.Addresses) == 0 {
		return errors.New("mtu: ifupdown sets it together with addresses only")
	}
	text, err := h.FS.Read(main, 1<<20)
	if err != nil {
		return fmt.Errorf("reading %s: %w", main, err)
	}
	reads := false
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		dir := strings.TrimSuffix(strings.TrimSuffix(f[1], "/*"), "/")
		reads = reads || strings.HasPrefix(f[0], "source") && (dir == "/etc/network/interfaces.d" || dir == "interfaces.d")
		if f[0] == "iface" && f[1] == n.Name {
			return fault.WithHint(fmt.Errorf("%s has %s already", main, n.Name), "take the lines out, with the type line or block")
		}
	}
	if !reads {
		return fault.WithHint(fmt.Errorf("%s does not read interfaces.d", main), "add the line: source /etc/network/interfaces.d/*")
	}
	return nil
}

// manager renders a keyfile of NetworkManager: nm-settings-keyfile(5).
func (n *NetworkInterface) manager() string {
	var b strings.Builder
	b.WriteString(ownedMark + "[connection]\nid=vigo-" + n.Name + "\ntype=ethernet\ninterface-name=" + n.Name + "\n")
	if n.MTU != 0 {
		b.WriteString("\n[ethernet]\nmtu=" + strconv.Itoa(n.MTU) + "\n")
	}
	for _, four := range []bool{true, false} {
		section, asked, none := "ipv4", n.DHCP == "ipv4" || n.DHCP == "both", "disabled"
		if !four {
			section, asked, none = "ipv6", n.DHCP == "ipv6" || n.DHCP == "both", "link-local"
		}
		addresses := family(n.Addresses, four)
		method := none
		if asked {
			method = "auto"
		} else if len(addresses) > 0 {
			method = "manual"
		}
		b.WriteString("\n[" + section + "]\nmethod=" + method + "\n")
		for i, a := range addresses {
			b.WriteString(fmt.Sprintf("address%d=%s\n", i+1, a))
		}
		if g := family(n.Gateways, four); len(g) > 0 {
			b.WriteString("gateway=" + g[0] + "\n")
		}
		if dns := family(n.DNS, four); len(dns) > 0 {
			b.WriteString("dns=" + strings.Join(dns, ";") + ";\n")
		}
		if len(n.Search) > 0 && method != none {
			b.WriteString("dns-search=" + strings.Join(n.Search, ";") + ";\n")
		}
	}
	return b.String()
}
