package resources

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// VLANInterface is an interface for one VLAN (IEEE 802.1Q) of another: a file of systemd-networkd or ifupdown. The addresses on it
// are those of a network_interface of the same name. The other interface needs a network_interface too (dhcp: none, if it has no
// addresses). An interface that is missing, or has another number, is made anew where the kernel has the other one; what goes
// over it stops for that moment. NetworkManager keeps a VLAN in the file of its connection, which this type does not write.
//
//	resources:
//	  - vlan_interface: vlan100
//	    parent: eth1
//	    vlan: 100
//	  - network_interface: vlan100
//	    addresses: [192.0.2.7/24]
type VLANInterface struct {
	// Name of the interface, as the kernel shall have it.
	Name string `vigo:"identity"`

	// Ensure says whether the interface should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Parent is the interface that carries the VLAN.
	Parent string `yaml:"parent" vigo:"required"`

	// VLAN is the number of the VLAN, from 1 to 4094.
	VLAN int `yaml:"vlan"`

	// Provider sets the interfaces up; auto (the default) takes systemd-networkd if it runs, and ifupdown otherwise.
	Provider string `yaml:"provider" vigo:"enum=auto|networkd|ifupdown"`
}

var (
	_ resource.Validator = (*VLANInterface)(nil)
	_ resource.Requirer  = (*VLANInterface)(nil)
)

// Validate implements [resource.Validator].
func (v *VLANInterface) Validate() error {
	if err := checkInterface(v.Name); err != nil {
		return err
	}
	if err := checkInterface(v.Parent); err != nil {
		return fmt.Errorf("parent: %w", err)
	}
	switch {
	case v.Parent == v.Name:
		return errors.New("parent: an interface does not carry itself")
	case v.Ensure != "absent" && (v.VLAN < 1 || v.VLAN > 4094):
		return fmt.Errorf("vlan: %d is not between 1 and 4094", v.VLAN)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (v *VLANInterface) Requires() []resource.ID {
	return []resource.ID{{Type: "network_interface", Name: v.Parent}, {Type: "bond", Name: v.Parent},
		{Type: "package", Name: "ifupdown"}, {Type: "service", Name: "systemd-networkd"}}
}

// Plan implements [resource.Resource].
func (v *VLANInterface) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	provider, err := besideProvider(ctx, h, v.Provider)
	if err != nil {
		return resource.Plan{}, err
	}
	d := device{name: v.Name, provider: provider, absent: v.Ensure == "absent"}
	number := strconv.Itoa(v.VLAN)
	d.main = "[NetDev]\nName=" + v.Name + "\nKind=vlan\n\n[VLAN]\nId=" + number + "\n"
	d.beside = map[string]string{beside("networkd", v.Parent, "vlan-"+v.Name): "[Network]\nVLAN=" + v.Name + "\n"}
	if provider == "ifupdown" {
		d.main = "auto " + v.Name + "\niface " + v.Name + " inet manual\n\tpre-up test -e /sys/class/net/" + v.Name +
			" || ip link add link " + v.Parent + " name " + v.Name + " type vlan id " + number +
			"\n\tup ip link set dev " + v.Name + " up\n\tpost-down ip link delete dev " + v.Name + " || true\n"
	}
	parent, err := liveInterface(ctx, h, v.Parent)
	if err != nil {
		return resource.Plan{}, err
	}
	d.possible = parent != nil
	return d.plan(ctx, h, func() ([]change.Change, error) { return v.lacks(h) })
}

// lacks is what the kernel has otherwise than declared: /proc/net/vlan of the module 8021q, one file an interface.
func (v *VLANInterface) lacks(h *host.Host) ([]change.Change, error) {
	text, err := h.FS.Read("/proc/net/vlan/"+v.Name, 1<<16)
	if errors.Is(err, host.ErrNotFound) {
		return nil, fmt.Errorf("the kernel has an interface %s already, which is no VLAN", v.Name)
	}
	if err != nil || v.Ensure == "absent" {
		return nil, err
	}
	words := strings.Fields(string(text))
	after := func(word string) string {
		for i := 0; i+1 < len(words); i++ {
			if words[i] == word {
				return words[i+1]
			}
		}
		return ""
	}
	var changes []change.Change
	if is := after("VID:"); is != strconv.Itoa(v.VLAN) {
		changes = append(changes, change.Of("live vlan", is, strconv.Itoa(v.VLAN)))
	}
	if is := after("Device:"); is != v.Parent {
		changes = append(changes, change.Of("live parent", is, v.Parent))
	}
	return changes, nil
}
