package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Bond is an interface made of several others, for one that fails or for more throughput: files of systemd-networkd or ifupdown.
// The addresses on it are those of a network_interface of the same name; the members have none, and no network_interface. Where
// the kernel has the bond, its mode and members are compared too. A bond that is missing or differs is made anew; what goes over
// it stops for that moment, so try a change on one machine first. NetworkManager keeps a bond in the files of its connections,
// which this type does not write.
//
//	resources:
//	  - bond: bond0
//	    members: [eth1, eth2]
//	    mode: active-backup
//	  - network_interface: bond0
//	    addresses: [192.0.2.7/24]
type Bond struct {
	// Name of the interface, as the kernel shall have it.
	Name string `vigo:"identity"`

	// Ensure says whether the bond should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Members are the interfaces it is made of.
	Members []string `yaml:"members" vigo:"required"`

	// Mode is how the members share the load, active-backup by default; 802.3ad needs a switch with LACP.
	Mode string `yaml:"mode" vigo:"enum=active-backup|balance-rr|balance-xor|broadcast|802.3ad|balance-tlb|balance-alb"`

	// Miimon is how often the carrier of each member is looked at, in milliseconds; 100 by default.
	Miimon int `yaml:"miimon"`

	// Provider sets the interfaces up; auto (the default) takes systemd-networkd if it runs, and ifupdown otherwise.
	Provider string `yaml:"provider" vigo:"enum=auto|networkd|ifupdown"`
}

var (
	_ resource.Validator = (*Bond)(nil)
	_ resource.Requirer  = (*Bond)(nil)
)

// Validate implements [resource.Validator].
func (b *Bond) Validate() error {
	if err := checkInterface(b.Name); err != nil {
		return err
	}
	if len(b.Members) == 0 {
		return errors.New("members: want at least one")
	}
	for i, m := range b.Members {
		if err := checkInterface(m); err != nil {
			return fmt.Errorf("members: %w", err)
		}
		if m == b.Name || slices.Contains(b.Members[:i], m) {
			return fmt.Errorf("members: %s cannot be a member here", m)
		}
	}
	if b.Miimon < 0 || b.Miimon > 60000 {
		return fmt.Errorf("miimon: %d is not between 0 and 60000", b.Miimon)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (b *Bond) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "ifupdown"}, {Type: "service", Name: "systemd-networkd"}}
}

func (b *Bond) mode() string { return orWord(b.Mode, "active-backup") }

func (b *Bond) miimon() string {
	if b.Miimon == 0 {
		return "100"
	}
	return strconv.Itoa(b.Miimon)
}

// Plan implements [resource.Resource].
func (b *Bond) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	provider, err := besideProvider(ctx, h, b.Provider)
	if err != nil {
		return resource.Plan{}, err
	}
	d := device{name: b.Name, provider: provider, absent: b.Ensure == "absent", beside: map[string]string{}, possible: true}
	d.main = b.networkd()
	if provider == "ifupdown" {
		d.main = b.ifupdown()
	}
	if provider == "networkd" {
		if d.stale, err = b.former(h); err != nil {
			return resource.Plan{}, err
		}
	}
	for _, m := range b.Members {
		d.beside[bondFiles+"05-vigo-"+m+".network"] = b.member(m)
		d.await = append(d.await, m+":enslaved")
		is, err := liveInterface(ctx, h, m)
		if err != nil {
			return resource.Plan{}, err
		}
		d.possible = d.possible && is != nil
	}
	return d.plan(ctx, h, func() ([]change.Change, error) { return b.lacks(h) })
}

const bondFiles = "/etc/systemd/network/"

// member renders a file of systemd.network(5). The first one that matches an interface is the one that systemd-networkd takes.
func (b *Bond) member(name string) string {
	return "[Match]\nName=" + name + "\n\n[Network]\nBond=" + b.Name + "\n"
}

// former lists the files of those that were members once.
func (b *Bond) former(h *host.Host) ([]string, error) {
	list, err := h.FS.List("/etc/systemd/network")
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []string
	for _, is := range list {
		base := is.Name
		name, other := strings.CutPrefix(strings.TrimSuffix(base, ".network"), "05-vigo-")
		if !other || slices.Contains(b.Members, name) || !strings.HasSuffix(base, ".network") {
			continue
		}
		text, err := h.FS.Read(bondFiles+base, maxEdit)
		if err != nil {
			return nil, err
		}
		if string(text) == ownedMark+b.member(name) {
			found = append(found, bondFiles+base)
		}
	}
	return found, nil
}

// networkd renders a file of systemd.netdev(5).
func (b *Bond) networkd() string {
	return "[NetDev]\nName=" + b.Name + "\nKind=bond\n\n[Bond]\nMode=" + b.mode() + "\nMIIMonitorSec=" + b.miimon() + "ms\n"
}

// ifupdown renders a stanza of interfaces(5) that needs no package but iproute2.
func (b *Bond) ifupdown() string {
	var s strings.Builder
	s.WriteString("auto " + b.Name + "\niface " + b.Name + " inet manual\n\tpre-up test -e /sys/class/net/" + b.Name + " || ip link add name " +
		b.Name + " type bond mode " + b.mode() + " miimon " + b.miimon() + "\n")
	for _, m := range b.Members {
		s.WriteString("\tpre-up ip link set dev " + m + " down && ip link set dev " + m + " master " + b.Name + "\n")
	}
	s.WriteString("\tup ip link set dev " + b.Name + " up\n\tpost-down ip link delete dev " + b.Name + " || true\n")
	return s.String()
}

// lacks is what the kernel has otherwise than declared: Documentation/networking/bonding.rst, the files of sysfs.
func (b *Bond) lacks(h *host.Host) ([]change.Change, error) {
	dir := "/sys/class/net/" + b.Name + "/bonding/"
	mode, err := h.FS.Read(dir+"mode", 4096)
	if errors.Is(err, host.ErrNotFound) {
		return nil, fmt.Errorf("the kernel has an interface %s already, which is no bond", b.Name)
	}
	if err != nil || b.Ensure == "absent" {
		return nil, err
	}
	slaves, err := h.FS.Read(dir+"slaves", 1<<16)
	if err != nil {
		return nil, err
	}
	var changes []change.Change
	if is, _, _ := strings.Cut(strings.TrimSpace(string(mode)), " "); is != b.mode() {
		changes = append(changes, change.Of("live mode", is, b.mode()))
	}
	is, want := slices.Sorted(slices.Values(strings.Fields(string(slaves)))), slices.Sorted(slices.Values(b.Members))
	if !slices.Equal(is, want) {
		changes = append(changes, change.Of("live members", strings.Join(is, " "), strings.Join(want, " ")))
	}
	return changes, nil
}
