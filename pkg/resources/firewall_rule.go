package resources

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"strconv"
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
type FirewallRule struct {
	// Name of the rule, which is also its comment in the table.
	Name string `vigo:"identity"`

	// Ensure says whether the rule should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Policy is the firewall_policy that the rule belongs to.
	Policy string `yaml:"policy" vigo:"required"`

	// Chain that the rule stands in: input (the default), forward or output.
	Chain string `yaml:"chain" vigo:"enum=input|forward|output"`

	// Order is where the rule stands among those of the chain, 0 to 999; 500 if it is not given.
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

	// Limit is how often the rule holds, such as 10/minute.
	Limit string `yaml:"limit"`

	// Log has the kernel log the packet with this word before it.
	Log string `yaml:"log"`

	// Action is what happens to the packet: accept (the default), drop, reject, or continue with the next rule.
	Action string `yaml:"action" vigo:"enum=accept|drop|reject|continue"`

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
		return checkNftRule(r.Rule)
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
	_, err := r.lines()
	return err
}

// nftProtocols are the numbers of protocols by name. nft(8) knows names only from /etc/protocols, which a small machine
// does not have.
func nftProtocols() map[string]string {
	return map[string]string{"icmp": "1", "igmp": "2", "tcp": "6", "udp": "17", "dccp": "33", "gre": "47", "esp": "50", "ah": "51",
		"icmpv6": "58", "ospf": "89", "vrrp": "112", "sctp": "132"}
}

func knownProtocol(name string) bool {
	n, err := strconv.ParseUint(name, 10, 8)
	return name == "" || nftProtocols()[name] != "" || err == nil && n > 0
}

// checkPorts says what is wrong with a port or a range of them.
func checkPorts(text string) error {
	low, high, isRange := strings.Cut(text, "-")
	a, err1 := strconv.ParseUint(low, 10, 16)
	b, err2 := a, error(nil)
	if isRange {
		b, err2 = strconv.ParseUint(high, 10, 16)
	}
	if err1 != nil || err2 != nil || a == 0 || b < a {
		return fmt.Errorf("%q is neither a port nor a range such as 8000-8010", text)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (r *FirewallRule) Requires() []resource.ID {
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

// lines are the rules in the language of nft(8): one for each version of IP where addresses are given.
func (r *FirewallRule) lines() ([]string, error) {
	comment := fmt.Sprintf(" comment \"%s\"", r.Name)
	if r.Rule != "" {
		if strings.Contains(r.Rule, " comment ") {
			comment = ""
		}
		return []string{r.Rule + comment}, nil
	}
	from, err := byFamily("from", r.From)
	if err != nil {
		return nil, err
	}
	to, err := byFamily("to", r.To)
	if err != nil {
		return nil, err
	}
	if len(r.From)+len(r.To) == 0 {
		return []string{r.line("") + comment}, nil
	}
	var lines []string
	for i, ip := range []string{"ip", "ip6"} {
		if len(r.From) > 0 && from[i] == nil || len(r.To) > 0 && to[i] == nil {
			continue
		}
		match := ""
		if from[i] != nil {
			match += fmt.Sprintf("%s saddr { %s } ", ip, strings.Join(from[i], ", "))
		}
		if to[i] != nil {
			match += fmt.Sprintf("%s daddr { %s } ", ip, strings.Join(to[i], ", "))
		}
		lines = append(lines, r.line(match)+comment)
	}
	if lines == nil {
		return nil, errors.New("from and to are of different versions of IP")
	}
	return lines, nil
}

// line is one rule with the match of addresses.
func (r *FirewallRule) line(addresses string) string {
	var b strings.Builder
	if r.InInterface != "" {
		fmt.Fprintf(&b, "iifname \"%s\" ", r.InInterface)
	}
	if r.OutInterface != "" {
		fmt.Fprintf(&b, "oifname \"%s\" ", r.OutInterface)
	}
	b.WriteString(addresses)
	if len(r.Ports) > 0 {
		ports := make([]string, len(r.Ports))
		for i, p := range r.Ports {
			ports[i] = limitText(p)
		}
		fmt.Fprintf(&b, "%s dport { %s } ", r.Protocol, strings.Join(ports, ", "))
	} else if r.Protocol != "" {
		fmt.Fprintf(&b, "meta l4proto %s ", orWord(nftProtocols()[r.Protocol], r.Protocol))
	}
	if r.Limit != "" {
		fmt.Fprintf(&b, "limit rate %s ", r.Limit)
	}
	if r.Log != "" {
		fmt.Fprintf(&b, "log prefix \"%s \" ", r.Log)
	}
	return b.String() + orWord(r.Action, "accept")
}

// byFamily sorts addresses and networks by the version of IP.
func byFamily(key string, list []string) (families [2][]string, err error) {
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return families, fmt.Errorf("%s: %q is neither an address nor a network such as 192.0.2.0/24", key, text)
		}
		if prefix != prefix.Masked() {
			return families, fault.WithHint(fmt.Errorf("%s: %q has bits beyond its network", key, text), "write "+prefix.Masked().String())
		}
		family := 0
		if prefix.Addr().Is6() {
			family = 1
		}
		families[family] = append(families[family], text)
	}
	return families, nil
}

// Plan implements [resource.Resource].
func (r *FirewallRule) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
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
	file := keptFile{Path: r.file(), Content: ownedMark + strings.Join(lines, "\n") + "\n", Mode: 0o600}
	written, err := file.plan(ctx, h)
	if r.Ensure == "absent" {
		written, err = file.remove(ctx, h)
	}
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
		gone, err := keptFile{Path: full}.remove(ctx, h)
		if err != nil {
			return p, err
		}
		p.Include("", gone)
	}
	return p, nil
}
