package resources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// FirewallPolicy is a table of the packet filter of the kernel (nftables) that belongs to Vigo whole: what happens to
// packets that no rule says anything about, the rules that nearly every machine needs, and a place for those of
// firewall_rule. Other tables are left alone; a packet must pass them all.
//
// The table is a file, /etc/nftables.d/<name>.nft, which the configuration of nftables(8) includes, so that it holds
// after a reboot where the service nftables is enabled. It is checked before it is written, and loaded whole or not at
// all. On each run the table that the kernel has is compared with the one that was loaded, through netlink, without a
// child process: what somebody has changed by hand is drift. Sets whose elements come and go by themselves are not
// compared, nor is what only counts.
//
// A rule for the way that you reach the machine belongs in the same policy, or a drop locks you out. With a guard a policy that
// cuts the machine off from its service is taken back by itself.
//
// With backend: ufw the policy is what ufw does by default, and that it is enabled; the name means nothing. With firewalld it
// is the zone of that name: its target, interfaces and sources, of what runs and of what holds after a reboot. Only what is
// declared is looked at, and the keys in the language of nft(8) are not for them. Absent disables ufw, and removes a zone that
// firewalld did not come with.
//
//	resources:
//	  - firewall_policy: main
//	    input: drop
//	    forward: drop
//	    rules: [tcp dport 22 accept]
//	    guard: {confirm: checkin, timeout: 5m}
type FirewallPolicy struct {
	// Name of the table: letters, digits and "_"; with firewalld, of the zone.
	Name string `vigo:"identity"`

	// Ensure says whether the table should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Backend is who keeps the packet filter of the machine: nftables (the default), ufw, firewalld, or auto: firewalld if it
	// runs or starts at boot, ufw if it is enabled, else nftables.
	Backend string `yaml:"backend" vigo:"enum=nftables|ufw|firewalld|auto"`

	// Family of packets: inet (IPv4 and IPv6, the default), ip or ip6.
	Family string `yaml:"family" vigo:"enum=inet|ip|ip6"`

	// Input says what happens to packets for the machine that no rule is about. Without it there is no such chain.
	Input string `yaml:"input" vigo:"enum=accept|drop"`

	// Forward says the same of packets that only pass through; with firewalld, between interfaces of the zone.
	Forward string `yaml:"forward" vigo:"enum=accept|drop"`

	// Output says the same of packets that the machine sends. firewalld has no such thing.
	Output string `yaml:"output" vigo:"enum=accept|drop"`

	// Interfaces that belong to the zone of firewalld, exactly these.
	Interfaces []string `yaml:"interfaces"`

	// Sources are the networks whose packets belong to the zone of firewalld, exactly these.
	Sources []string `yaml:"sources"`

	// Basics are what comes first in each chain: answers to what was let through, the machine's talk with itself, and
	// the ICMP that IP does not work without. False leaves them out.
	Basics *bool `yaml:"basics"`

	// Rules for input, in the language of nft(8), one an item.
	Rules []string `yaml:"rules"`

	// ForwardRules are those for forward.
	ForwardRules []string `yaml:"forward_rules"`

	// OutputRules are those for output.
	OutputRules []string `yaml:"output_rules"`

	// Extra is text for the table itself, in the language of nft(8): sets, maps and chains of your own.
	Extra string `yaml:"extra"`
}

var (
	_ resource.Validator = (*FirewallPolicy)(nil)
	_ resource.Requirer  = (*FirewallPolicy)(nil)

	nftName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,30}$`)
)

// Validate implements [resource.Validator].
func (f *FirewallPolicy) Validate() error {
	if !nftName.MatchString(f.Name) {
		return fmt.Errorf("%q is not the name of a table: want letters, digits and \"_\"", f.Name)
	}
	if f.Ensure == "absent" {
		return nil
	}
	switch f.Backend {
	case backendUfw:
		if err := f.checkUfw(); err != nil {
			return err
		}
	case backendFirewalld:
		return f.checkFirewalld()
	case backendAuto:
	default:
		if len(f.Interfaces)+len(f.Sources) > 0 {
			return notWith(backendNft, "interfaces and sources", "they are of the zones of firewalld")
		}
	}
	if f.Input == "" && f.Forward == "" && f.Output == "" && f.Extra == "" {
		return errors.New(`needs one of the keys "input", "forward" and "output"`)
	}
	for _, c := range f.chains() {
		if c.policy == "" && len(c.rules) > 0 {
			return fmt.Errorf("rules for %s need the key %q", c.name, c.name)
		}
		for _, r := range c.rules {
			if err := checkNftRule(r); err != nil {
				return err
			}
		}
	}
	if depth, ok := braces(f.Extra); !ok || depth != 0 {
		return errors.New("extra: the braces do not match")
	}
	return nil
}

// checkNftRule refuses text that would end its chain, or be more than one rule.
func checkNftRule(r string) error {
	if strings.TrimSpace(r) == "" {
		return errors.New("rules: an item is empty")
	}
	if err := oneLine("a rule", r); err != nil {
		return err
	}
	if depth, ok := braces(r); !ok || depth != 0 || strings.ContainsAny(r, ";#") || strings.HasSuffix(r, `\`) {
		return fmt.Errorf("%q is not one rule", r)
	}
	return nil
}

// braces counts how many are open at the end, outside of quoted text; not ok if one is closed that was not opened.
func braces(text string) (depth int, ok bool) {
	quoted := false
	for _, c := range text {
		switch {
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{':
			depth++
		case c == '}':
			if depth--; depth < 0 {
				return depth, false
			}
		}
	}
	return depth, !quoted
}

// Requires implements [resource.Requirer].
func (f *FirewallPolicy) Requires() []resource.ID {
	switch f.Backend {
	case backendUfw, backendFirewalld:
		return []resource.ID{{Type: "package", Name: f.Backend}}
	}
	return []resource.ID{{Type: "package", Name: "nftables"}}
}

type nftChain struct {
	name, policy string
	rules        []string
}

func (f *FirewallPolicy) chains() []nftChain {
	return []nftChain{{"input", f.Input, f.Rules}, {"forward", f.Forward, f.ForwardRules}, {"output", f.Output, f.OutputRules}}
}

// text is the file. The table is made anew in one transaction: it is there before it is removed, or removing it fails.
func (f *FirewallPolicy) text() string {
	family := orWord(f.Family, "inet")
	var b strings.Builder
	fmt.Fprintf(&b, "%stable %s %s\ndelete table %[2]s %[3]s\ntable %[2]s %[3]s {\n", ownedMark, family, f.Name)
	if f.Extra != "" {
		b.WriteString(strings.TrimRight(f.Extra, "\n") + "\n")
	}
	for _, c := range f.chains() {
		if c.policy == "" {
			continue
		}
		fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook %[1]s priority filter; policy %s;\n", c.name, c.policy)
		rules := c.rules
		if f.Basics == nil || *f.Basics {
			rules = append(nftBasics(family, c.name), rules...)
		}
		for _, r := range rules {
			fmt.Fprintf(&b, "\t\t%s\n", r)
		}
		fmt.Fprintf(&b, "\t\tinclude \"%s/%s-*.nft\"\n\t}\n", nftRules(f.Name), c.name)
	}
	b.WriteString("}\n")
	return b.String()
}

func nftBasics(family, chain string) []string {
	rules := []string{"ct state vmap { established : accept, related : accept, invalid : drop }"}
	switch chain {
	case "input":
		rules = append(rules, "iifname lo accept")
	case "output":
		rules = append(rules, "oifname lo accept")
	}
	if family != "ip6" {
		rules = append(rules, "meta l4proto "+nftProtocols()["icmp"]+" accept")
	}
	if family != "ip" {
		rules = append(rules, "meta l4proto "+nftProtocols()["icmpv6"]+" accept")
	}
	return rules
}

// Plan implements [resource.Resource].
func (f *FirewallPolicy) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	backend, err := firewallBackend(ctx, h, f.Backend)
	switch {
	case err != nil:
		return resource.Plan{}, err
	case backend == backendUfw:
		return f.planUfw(h)
	case backend == backendFirewalld:
		return f.planFirewalld(ctx, h)
	}
	return f.planNft(ctx, h)
}

// planNft plans the file of the table, and that it is loaded.
func (f *FirewallPolicy) planNft(ctx context.Context, h *host.Host) (resource.Plan, error) {
	if f.Ensure == "absent" {
		return f.remove(ctx, h)
	}
	var p resource.Plan
	if err := planNftInclude(h, &p); err != nil {
		return p, err
	}
	text := f.text()
	file := ownedAs(nftFile(f.Name), text, 0o600)
	written, err := file.Plan(ctx, h)
	if err != nil {
		return p, err
	}
	table := nftTable{family: orWord(f.Family, "inet"), name: f.Name}
	live, err := table.state(ctx, h)
	if err != nil || written.Empty() && live == "" {
		return p, err
	}
	changes := written.Changes()
	if live != "" {
		changes = append(changes, change.Of("table", live, "as declared"))
	}
	p.Do(func(ctx context.Context) error {
		if err := h.Firewall.Check(ctx, text); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return fmt.Errorf("checking the table: %w", err)
		}
		if _, err := written.Apply(ctx); err != nil {
			return err
		}
		return table.load(ctx, h)
	}, changes...)
	return p, nil
}

// remove plans that neither the kernel nor the disk have the table.
func (f *FirewallPolicy) remove(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	table := nftTable{family: orWord(f.Family, "inet"), name: f.Name}
	live, err := table.there(ctx, h)
	if err != nil {
		return p, err
	}
	if live {
		p.Do(func(ctx context.Context) error { return table.drop(ctx, h) }, change.Of("table", "present", change.Absent))
	}
	for _, name := range []string{nftFile(f.Name), nftRules(f.Name), table.record()} {
		is, err := look(h, name)
		if err != nil {
			return p, err
		}
		if is != nil {
			p.Do(func(ctx context.Context) error { return h.FS.Remove(ctx, name, true) }, change.Of("file", name, change.Absent))
		}
	}
	return p, nil
}
