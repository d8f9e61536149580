package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// checkFirewalld says what of a rule firewalld does not have.
func (r *FirewallRule) checkFirewalld() error {
	switch {
	case r.Rule != "":
		return notWith(backendFirewalld, "rule", "it is in the language of nft(8); use the other keys")
	case orWord(r.Chain, "input") != "input":
		return notWith(backendFirewalld, "chain: "+r.Chain, "a zone is about packets that come in")
	case r.InInterface+r.OutInterface != "":
		return notWith(backendFirewalld, "in_interface and out_interface", "a zone has interfaces: declare them in its firewall_policy")
	case r.Action == "limit":
		return notWith(backendFirewalld, "action: limit", "limit: 12/minute is how often the rule holds")
	case strings.HasSuffix(r.Limit, "/week"):
		return notWith(backendFirewalld, "limit: "+r.Limit, "its rates are per second, minute, hour and day")
	case r.Action == "continue" && r.Log == "":
		return notWith(backendFirewalld, "action: continue", "give a word for log: a rule that only counts it does not have")
	}
	_, err := r.zoneElements()
	return err
}

// zoneElements are what a zone has for the rule: "port 80/tcp", "protocol 47", or "rule …". The first two are what others put
// in for the same, so they are used where the rule says no more.
func (r *FirewallRule) zoneElements() ([]string, error) {
	lines, err := r.richRules()
	if err != nil || r.Order != nil || len(r.From)+len(r.To) > 0 || r.Limit != "" || r.Log != "" || orWord(r.Action, "accept") != "accept" || r.Protocol == "" {
		return lines, err
	}
	if len(r.Ports) == 0 {
		return []string{"protocol " + orWord(nftProtocols()[r.Protocol], r.Protocol)}, nil
	}
	var all []string
	for _, p := range r.Ports {
		all = append(all, "port "+limitText(p)+"/"+r.Protocol)
	}
	return all, nil
}

// richRules are the rules in the rich language, as firewalld itself writes them: one for each port, and each pair of addresses.
func (r *FirewallRule) richRules() ([]string, error) {
	from, err := byFamily("from", r.From)
	if err != nil {
		return nil, err
	}
	to, err := byFamily("to", r.To)
	if err != nil {
		return nil, err
	}
	base := richXML{}
	if r.Order != nil {
		base.Priority = strconv.Itoa(*r.Order - 500)
	}
	r.richEnd(&base)
	var families []string
	if families = []string{"ipv4", "ipv6"}; len(r.From)+len(r.To) == 0 {
		families = []string{""}
	}
	var all []string
	for i, family := range families {
		if len(r.From) > 0 && from[i] == nil || len(r.To) > 0 && to[i] == nil {
			continue
		}
		for _, src := range orAny(from[i], "") {
			for _, dst := range orAny(to[i], "") {
				rule := base
				rule.Family = family
				if src != "" {
					rule.Source = &zoneElement{Address: src}
				}
				if dst != "" {
					rule.Destination = &zoneElement{Address: dst}
				}
				all = append(all, r.withPorts(rule)...)
			}
		}
	}
	if all == nil {
		return nil, errors.New("from and to are of different versions of IP")
	}
	return all, nil
}

// richEnd sets what happens to the packet.
func (r *FirewallRule) richEnd(rule *richXML) {
	var limit *zoneElement
	if count, unit, ok := strings.Cut(r.Limit, "/"); ok {
		limit = &zoneElement{Value: count + "/" + unit[:1]}
	}
	if r.Log != "" {
		rule.Log = &richLog{Prefix: r.Log + " "}
	}
	switch end := (&richAction{Limit: limit}); orWord(r.Action, "accept") {
	case "accept":
		rule.Accept = end
	case "drop":
		rule.Drop = end
	case "reject":
		rule.Reject = end
	default: // the log is all there is
		rule.Log.Limit = limit
	}
}

// withPorts makes a rule for each port.
func (r *FirewallRule) withPorts(rule richXML) []string {
	if len(r.Ports) == 0 {
		if r.Protocol != "" {
			rule.Protocol = &zoneElement{Value: orWord(nftProtocols()[r.Protocol], r.Protocol)}
		}
		return []string{rule.text()}
	}
	var all []string
	for _, p := range r.Ports {
		rule.Port = &zoneElement{Port: limitText(p), Protocol: r.Protocol}
		all = append(all, rule.text())
	}
	return all
}

// elementsOf lists what a zone has, in the words of zoneElements.
func elementsOf(z host.Zone) []string {
	var all []string
	for _, p := range z.Ports {
		all = append(all, "port "+p)
	}
	for _, p := range z.Protocols {
		all = append(all, "protocol "+orWord(nftProtocols()[p], p))
	}
	return append(all, z.RichRules...)
}

// zoneOption is the option of firewall-cmd(1) that adds or removes an element.
func zoneOption(verb, element string) string {
	word, value, _ := strings.Cut(element, " ")
	if word == "rule" {
		return "--" + verb + "-rich-rule=" + element
	}
	return "--" + verb + "-" + word + "=" + value
}

// zoneRecord is where it is kept what a rule has put into a zone: firewalld keeps no names of rules.
func (r *FirewallRule) zoneRecord() string {
	safe := regexp.MustCompile(`[^A-Za-z0-9_-]+`).ReplaceAllString(r.Name, "_")
	return path.Join("/var/lib/vigo/firewall", fmt.Sprintf("zone-%s-%s-%.6s", r.Policy, safe, strings.TrimPrefix(digestOf([]byte(r.Name)), "sha256:")))
}

// planFirewalld plans the elements of the rule, in the files of the zone and in firewalld. What the zone had before is not
// taken out when the rule changes.
func (r *FirewallRule) planFirewalld(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if err := r.checkFirewalld(); err != nil && r.Ensure != "absent" {
		return p, err
	}
	s, err := readZone(ctx, h, r.Policy)
	if errors.Is(err, host.ErrNotFound) && r.Ensure == "absent" {
		return p, nil
	}
	missing := noFirewalld(h, err)
	if err != nil && !errors.Is(missing, errNoZone) {
		return p, missing
	}
	s.loaded = s.loaded || missing != nil && s.runs // as it will be once there is a zone
	data, err := h.FS.Read(r.zoneRecord(), maxEdit)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return p, err
	}
	t := zoneTurn{h: h, missing: missing, s: s, zone: r.Policy, record: r.zoneRecord()}
	if len(data) > 0 {
		t.ours = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
	want, err := r.zoneElements()
	if err != nil {
		return p, err
	}
	if r.Ensure == "absent" {
		if r.Protocol != "" || len(r.From)+len(r.To) > 0 {
			t.ours = append(t.ours, want...)
		}
		want = nil
	}
	t.plan(&p, want)
	return p, nil
}

// A zoneTurn brings the elements of one rule into line.
type zoneTurn struct {
	h            *host.Host
	s            zoneState
	zone, record string
	ours         []string // what the rule has put in
	missing      error    // there is no such zone; not an error of the plan, as in a dry run its policy may come first
}

func (t zoneTurn) plan(p *resource.Plan, want []string) {
	kept := slices.Clone(t.ours) // what is the rule's own afterwards
	var commands [][]string
	var changes []change.Change
	turn := func(is []string, field string, argv func(string) []string) {
		for _, e := range want {
			if !slices.Contains(is, e) {
				commands, changes = append(commands, argv(zoneOption("add", e))), append(changes, change.Of(field, change.Absent, e))
				kept = append(kept, e)
			}
		}
		for _, e := range t.ours {
			if slices.Contains(is, e) && !slices.Contains(want, e) {
				commands, changes = append(commands, argv(zoneOption("remove", e))), append(changes, change.Of(field, e, change.Absent))
			}
		}
	}
	turn(elementsOf(t.s.permanent), "permanent", func(o string) []string { return t.s.permanently("--zone="+t.zone, o) })
	switch {
	case t.s.loaded:
		turn(elementsOf(t.s.running), "running", func(o string) []string { return []string{"firewall-cmd", "--quiet", "--zone=" + t.zone, o} })
	case t.s.runs && (len(commands) > 0 || len(want) > 0):
		commands, changes = append(commands, []string{"firewall-cmd", "--quiet", "--reload"}), append(changes, change.Of("running zone", change.Absent, t.zone))
	}
	if len(changes) == 0 {
		return
	}
	slices.Sort(kept)
	kept = slices.Compact(kept)
	p.Do(func(ctx context.Context) error {
		if t.missing != nil {
			return t.missing
		}
		if err := t.keep(ctx, kept); err != nil {
			return err
		}
		for _, argv := range commands {
			if err := runProgram(ctx, t.h, argv...); err != nil {
				return err
			}
		}
		return t.keep(ctx, slices.DeleteFunc(kept, func(e string) bool { return !slices.Contains(want, e) }))
	}, changes...)
}

// keep writes the record; before the commands with all that may be put in by them.
func (t zoneTurn) keep(ctx context.Context, elements []string) error {
	if len(elements) == 0 {
		return t.h.FS.Remove(ctx, t.record, false)
	}
	if err := t.h.FS.MakeDir(ctx, path.Dir(t.record), host.Attr{}); err != nil {
		return err
	}
	return t.h.FS.Write(ctx, t.record, strings.NewReader(strings.Join(elements, "\n")+"\n"), host.WriteOptions{})
}
