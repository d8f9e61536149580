package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// FirewallRule is a rule in a table of firewall_policy, which may be declared by another module: a file of its own in
// /etc/nftables.d/<policy>, loaded with the whole table, and taken back if it cannot be. Rules stand behind those of the
// policy, in rising order, then by name; the first that accepts or drops a packet decides.
//
//	resources:
//	  - firewall_rule: web
//	    policy: main
//	    protocol: tcp
//	    ports: [80, 443]
//	  - firewall_rule: ssh from the office
//	    policy: main
//	    protocol: tcp
//	    ports: [22]
//	    from: [192.0.2.0/24, "2001:db8::/32"]
//
// With backend: ufw a rule is in /etc/ufw/user.rules, found again by its name, which is its comment there. With firewalld it is
// a port, a protocol or a rich rule of the zone that policy names, both of what runs and of what holds after a reboot. They
// are read from their files, and from firewalld over D-Bus, and changed by ufw(8) and firewall-cmd(1). Rules of others are
// left alone. Declare rules of ufw before the policy, which puts them in force; all others come after it.
type FirewallRule struct {
	// Name of the rule, which is also its comment in the table.
	Name string `vigo:"identity"`

	// Ensure says whether the rule should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Policy is the firewall_policy that the rule belongs to; with firewalld, the zone.
	Policy string `yaml:"policy" vigo:"required"`

	// Backend is who keeps the packet filter of the machine: nftables (the default), ufw, firewalld, or auto: firewalld if it
	// runs or starts at boot, ufw if it is enabled, else nftables.
	Backend string `yaml:"backend" vigo:"enum=nftables|ufw|firewalld|auto"`

	// Chain that the rule stands in: input (the default), forward or output. firewalld has input only.
	Chain string `yaml:"chain" vigo:"enum=input|forward|output"`

	// Order is where the rule stands among those of the chain, 0 to 999; 500 if it is not given. With ufw a new rule of an
	// order below 500 is put before all others, and where a rule stands is not looked at later.
	Order *int `yaml:"order"`

	// Protocol is tcp, udp, sctp, icmp, icmpv6, igmp, gre, esp, ah, ospf or vrrp, or the number of another. All of them
	// if it is not given.
	Protocol string `yaml:"protocol"`

	// Ports that the packet is for, each a number or a range such as 8000-8010.
	Ports []any `yaml:"ports"`

	// From are addresses and networks that the packet comes from.
	From []string `yaml:"from"`

	// To are addresses and networks that the packet is for.
	To []string `yaml:"to"`

	// InInterface is the network interface that the packet came in by; a "*" at the end stands for any end.
	InInterface string `yaml:"in_interface"`

	// OutInterface is the network interface that the packet leaves by.
	OutInterface string `yaml:"out_interface"`

	// Limit is how often the rule holds, such as 10/minute. ufw has none but action: limit.
	Limit string `yaml:"limit"`

	// Log has the kernel log the packet with this word before it; ufw has words of its own.
	Log string `yaml:"log"`

	// Action is what happens to the packet: accept (the default), drop, reject, or continue with the next rule. With ufw also
	// limit: accept, unless its source has come six times in 30 seconds.
	Action string `yaml:"action" vigo:"enum=accept|drop|reject|continue|limit"`

	// Rule is the whole rule in the language of nft(8), in place of the keys above.
	Rule string `yaml:"rule"`
}

var (
	_ resource.Validator = (*FirewallRule)(nil)
	_ resource.Requirer  = (*FirewallRule)(nil)

	nftIface = regexp.MustCompile(`^[A-Za-z0-9_.@-]{1,15}\*?$`)
	nftLimit = regexp.MustCompile(`^[1-9][0-9]*/(second|minute|hour|day|week)$`)
)

// Validate implements [resource.Validator].
func (r *FirewallRule) Validate() error {
	if !nftName.MatchString(r.Policy) {
		return fmt.Errorf("policy: %q is not the name of a firewall_policy", r.Policy)
	}
	if strings.ContainsAny(r.Name, "\"\\\n\r\x00/") || len(r.Name) > 100 {
		return fmt.Errorf("%q cannot be the comment of a rule", r.Name)
	}
	if r.Order != nil && (*r.Order < 0 || *r.Order > 999) {
		return fmt.Errorf("order: %d is not between 0 and 999", *r.Order)
	}
	if r.Ensure == "absent" {
		return nil
	}
	if r.Rule != "" {
		if r.Protocol+r.InInterface+r.OutInterface+r.Limit+r.Log+r.Action != "" || len(r.Ports)+len(r.From)+len(r.To) > 0 {
			return errors.New("rule says all of it, and excludes the other keys")
		}
		if err := checkNftRule(r.Rule); err != nil {
			return err
		}
		return r.checkBackend()
	}
	return r.checkKeys()
}

func (r *FirewallRule) checkKeys() error {
	switch {
	case !knownProtocol(r.Protocol):
		return fault.WithHint(fmt.Errorf("protocol: %q is not known by name", r.Protocol), "write its number, as a string")
	case len(r.Ports) > 0 && r.Protocol != "tcp" && r.Protocol != "udp" && r.Protocol != "sctp" && r.Protocol != "dccp":
		return fault.WithHint(errors.New("ports: only tcp and udp have ports"), `add protocol: tcp`)
	case r.Limit != "" && !nftLimit.MatchString(r.Limit):
		return fault.WithHint(fmt.Errorf("limit: %q is not a rate", r.Limit), "write 10/minute")
	case strings.ContainsAny(r.Log, "\"\\\n\r\x00") || len(r.Log) > 100:
		return fmt.Errorf("log: %q cannot stand before a line of the log", r.Log)
	}
	for key, name := range map[string]string{"in_interface": r.InInterface, "out_interface": r.OutInterface} {
		if name != "" && !nftIface.MatchString(name) {
			return fmt.Errorf("%s: %q is not the name of an interface", key, name)
		}
	}
	for _, p := range r.Ports {
		if err := checkPorts(limitText(p)); err != nil {
			return fmt.Errorf("ports: %w", err)
		}
	}
	return r.checkBackend()
}

// checkBackend says what the declared backend does not have; with auto that is seen on the machine.
func (r *FirewallRule) checkBackend() error {
	switch r.Backend {
	case backendUfw:
		return r.checkUfw()
	case backendFirewalld:
		return r.checkFirewalld()
	case backendAuto:
		return nil
	}
	return r.checkNft()
}

// checkNft says what of a rule nftables does not have.
func (r *FirewallRule) checkNft() error {
	if r.Action == "limit" {
		return notWith(backendNft, "action: limit", "limit: 12/minute is how often the rule holds")
	}
	_, err := r.lines()
	return err
}

// Requires implements [resource.Requirer].
func (r *FirewallRule) Requires() []resource.ID {
	if r.Backend == backendUfw {
		return []resource.ID{{Type: "package", Name: "ufw"}} // and the policy comes last, if it is declared last
	}
	return []resource.ID{{Type: "firewall_policy", Name: r.Policy}}
}

func (r *FirewallRule) file() string {
	order := 500
	if r.Order != nil {
		order = *r.Order
	}
	safe := regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(r.Name, "_")
	return path.Join(nftRules(r.Policy), fmt.Sprintf("%s-%03d-%s-%.6s.nft", orWord(r.Chain, "input"), order, safe, strings.TrimPrefix(digestOf([]byte(r.Name)), "sha256:")))
}

// Plan implements [resource.Resource].
func (r *FirewallRule) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	backend, err := firewallBackend(ctx, h, r.Backend)
	switch {
	case err != nil:
		return resource.Plan{}, err
	case backend == backendUfw:
		return r.planUfw(ctx, h)
	case backend == backendFirewalld:
		return r.planFirewalld(ctx, h)
	}
	return r.planNft(ctx, h)
}

// planNft plans the file of the rule, and that its table is loaded.
func (r *FirewallRule) planNft(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if err := r.checkNft(); err != nil && r.Ensure != "absent" {
		return p, err
	}
	table := nftTable{name: r.Policy}
	main, err := h.FS.Read(nftFile(r.Policy), maxEdit)
	if errors.Is(err, host.ErrNotFound) && r.Ensure == "absent" {
		return p, nil
	}
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return p, fmt.Errorf("reading the policy %s: %w", r.Policy, err)
	}
	for line := range strings.Lines(string(main)) {
		if w := strings.Fields(line); len(w) == 4 && w[0] == "table" {
			table.family = w[1]
		}
	}
	others, err := r.elsewhere(ctx, h)
	if err != nil {
		return p, err
	}
	lines, err := r.lines()
	if err != nil {
		return p, err
	}
	file := ownedAs(r.file(), ownedMark+strings.Join(lines, "\n")+"\n", 0o600)
	if r.Ensure == "absent" {
		file = gone(file.Path)
	}
	written, err := file.Plan(ctx, h)
	if err != nil {
		return p, err
	}
	written.Include("old", others)
	if written.Empty() {
		return p, nil
	}
	if r.Ensure != "absent" && table.family == "" {
		// Not an error of the plan: in a dry run the policy may come first.
		p.Do(func(context.Context) error { return r.noPolicy() }, written.Changes()...)
		return p, nil
	}
	table.planReload(h, file.Path, written, &p)
	return p, nil
}

func (r *FirewallRule) noPolicy() error {
	err := fmt.Errorf("finding the firewall_policy %s: %w", r.Policy, host.ErrNotFound)
	return fault.WithHint(err, "declare it in the policy of the node")
}

// elsewhere plans that files of the same rule with another order or in another chain go.
func (r *FirewallRule) elsewhere(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	files, err := h.FS.List(nftRules(r.Policy))
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return p, err
	}
	_, same, _ := strings.Cut(path.Base(r.file()), "-")
	_, same, _ = strings.Cut(same, "-")
	for _, f := range files {
		full := path.Join(nftRules(r.Policy), f.Name)
		if !strings.HasSuffix(f.Name, "-"+same) || full == r.file() {
			continue
		}
		gone, err := gone(full).Plan(ctx, h)
		if err != nil {
			return p, err
		}
		p.Include("", gone)
	}
	return p, nil
}
