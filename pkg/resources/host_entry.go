package resources

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// HostEntry is one entry of /etc/hosts: an address and the names for it. There is exactly one entry with the name as
// its first for each of IPv4 and IPv6; entries that have the name as an alias are left alone.
//
//	resources:
//	  - host_entry: db.example.com
//	    ip: 10.0.0.5
//	    aliases: [db]
type HostEntry struct {
	// Name of the entry: the canonical host name, unless name is given.
	Entry string `vigo:"identity"`

	// Name is the canonical host name, if the name of the entry is another: for a second entry, with an IPv6 address.
	Name string `yaml:"name"`

	// IP is the address, IPv4 or IPv6. Without it absent removes the entries of both.
	IP string `yaml:"ip"`

	// Aliases are further names for the address.
	Aliases []string `yaml:"aliases"`

	// Ensure says whether the entry should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`
}

var (
	_ resource.Validator = (*HostEntry)(nil)

	hostEntryName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`) // letters as hosts(5) has them, and "_"
)

// Validate implements [resource.Validator].
func (e *HostEntry) Validate() error {
	if e.IP == "" && e.Ensure != "absent" {
		return errors.New("needs the key \"ip\"")
	}
	if _, ok := parseAddress(e.IP); e.IP != "" && !ok {
		return fmt.Errorf("ip: %q is not an IP address", e.IP)
	}
	for _, name := range append([]string{e.canonical()}, e.Aliases...) {
		if !hostEntryName.MatchString(name) {
			return fmt.Errorf("%q is not a host name", name)
		}
		if _, err := netip.ParseAddr(name); err == nil {
			return fmt.Errorf("%q is an address, not a host name", name)
		}
	}
	return nil
}

func (e *HostEntry) canonical() string {
	if e.Name != "" {
		return e.Name
	}
	return e.Entry
}

// Plan implements [resource.Resource].
func (e *HostEntry) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var want netip.Addr
	if e.IP != "" {
		var err error
		if want, err = netip.ParseAddr(e.IP); err != nil {
			return resource.Plan{}, fmt.Errorf("ip: %w", err)
		}
	}
	return textEdit{Path: "/etc/hosts", Create: true, Edit: func(lines []string) ([]string, error) {
		return e.edit(lines, want), nil
	}}.plan(h)
}

// edit returns the lines as they should be. An entry that says the same in other white space stays as it is.
func (e *HostEntry) edit(lines []string, want netip.Addr) []string {
	names := append([]string{e.canonical()}, e.Aliases...)
	var edited []string
	done := e.Ensure == "absent"
	for _, l := range lines {
		entry, _, _ := strings.Cut(l, "#")
		words := strings.Fields(entry)
		if len(words) < 2 || words[1] != names[0] {
			edited = append(edited, l)
			continue
		}
		is, err := netip.ParseAddr(words[0])
		if err == nil && want.IsValid() && is.Is4() != want.Is4() {
			edited = append(edited, l)
			continue
		}
		if done {
			continue
		}
		done = true
		if is != want || !slices.Equal(words[1:], names) {
			l = e.line(names)
		}
		edited = append(edited, l)
	}
	if !done {
		edited = append(edited, e.line(names))
	}
	return edited
}

func (e *HostEntry) line(names []string) string { return e.IP + "\t" + strings.Join(names, " ") }
