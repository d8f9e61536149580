package resources

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

const (
	ufwRules4   = "/etc/ufw/user.rules"
	ufwRules6   = "/etc/ufw/user6.rules"
	ufwConf     = "/etc/ufw/ufw.conf"
	ufwDefaults = "/etc/default/ufw"
)

// An ufwTuple is a rule as ufw keeps it in user.rules, in a comment before what iptables reads:
//
//	### tuple ### allow_log tcp 80,443 0.0.0.0/0 any 192.0.2.0/24 in_eth0 comment=776562
//
// The words are action, protocol, port and address that the packet is for, port and address that it comes from, direction with
// interfaces, and a comment in hexadecimal digits. Two more words before the direction name profiles of applications; such
// rules are not Vigo's and are passed over.
type ufwTuple struct {
	route      bool // for packets that pass through
	action     string
	log        string // log, log-all or nothing
	protocol   string
	dport, dst string
	sport, src string
	out        bool
	inIface    string
	outIface   string
	comment    string
}

const ufwMark = "### tuple ### "

// ufwWhere reads direction and interfaces: both of them, or one, or the direction alone.
var ufwWhere = regexp.MustCompile(`^(?:in_([^!]+)!out_([^!]+)|in_([^!]+)|out_([^!]+)|in|out)$`)

// parseUfwTuple reads a line of user.rules.
func parseUfwTuple(line string) (t ufwTuple, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), ufwMark)
	if !ok {
		return t, false
	}
	w := strings.Fields(rest)
	if n := len(w); n > 0 && strings.HasPrefix(w[n-1], "comment=") {
		text, err := hex.DecodeString(strings.TrimPrefix(w[n-1], "comment="))
		if err != nil {
			return t, false
		}
		t.comment, w = string(text), w[:n-1]
	}
	if len(w) != 7 {
		return t, false
	}
	t.action, t.route = strings.CutPrefix(w[0], "route:")
	if action, log, logs := strings.Cut(t.action, "_"); logs {
		if t.action, t.log = action, log; log == "" {
			return t, false
		}
	}
	t.protocol, t.dport, t.dst, t.sport, t.src = w[1], w[2], w[3], w[4], w[5]
	where := ufwWhere.FindStringSubmatch(w[6])
	if where == nil || t.action == "" {
		return t, false
	}
	t.inIface, t.outIface = where[1]+where[3], where[2]+where[4]
	t.out = w[6] == "out" || where[4] != ""
	return t, true
}

// key is the rule without its comment, as ufw writes it.
func (t ufwTuple) key() string {
	action := t.action
	if t.route {
		action = "route:" + action
	}
	if t.log != "" {
		action += "_" + t.log
	}
	where := "in"
	if t.out {
		where = "out"
	}
	switch {
	case t.inIface != "" && t.outIface != "":
		where = "in_" + t.inIface + "!out_" + t.outIface
	case t.inIface != "":
		where = "in_" + t.inIface
	case t.outIface != "":
		where = "out_" + t.outIface
	}
	return strings.Join([]string{action, t.protocol, t.dport, t.dst, t.sport, t.src, where}, " ")
}

// words are the rule as the arguments of ufw(8), from the action on. Addresses are always given, so that it is of one version
// of IP only.
func (t ufwTuple) words() []string {
	w := []string{t.action}
	switch {
	case t.inIface != "":
		w = append(w, "in", "on", t.inIface)
		if t.outIface != "" {
			w = append(w, "out", "on", t.outIface)
		}
	case t.outIface != "":
		w = append(w, "out", "on", t.outIface)
	case !t.route && t.out:
		w = append(w, "out")
	case !t.route:
		w = append(w, "in")
	}
	if t.log != "" {
		w = append(w, t.log)
	}
	if t.protocol != "any" {
		w = append(w, "proto", t.protocol)
	}
	w = append(w, "from", t.src)
	if t.sport != "any" {
		w = append(w, "port", t.sport)
	}
	w = append(w, "to", t.dst)
	if t.dport != "any" {
		w = append(w, "port", t.dport)
	}
	return w
}

// argv is the command that adds the rule, or deletes it.
func (t ufwTuple) argv(verb string) []string {
	w := []string{"ufw"}
	if t.route {
		w = append(w, "route")
	}
	if verb != "" {
		w = append(w, verb)
	}
	w = append(w, t.words()...)
	if verb != "delete" && t.comment != "" {
		w = append(w, "comment", t.comment)
	}
	return w
}

// ufwNamed returns the rules of a file that have a comment.
func ufwNamed(text, comment string) []ufwTuple {
	var all []ufwTuple
	for line := range strings.Lines(text) {
		if t, ok := parseUfwTuple(line); ok && t.comment == comment {
			all = append(all, t)
		}
	}
	return all
}

// ufwAddress writes an address or network as ufw does: a network of one address is the address.
func ufwAddress(text string) string {
	if p, err := netip.ParsePrefix(text); err == nil {
		if p.IsSingleIP() {
			return p.Addr().String()
		}
		return p.String()
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return a.String()
	}
	return text
}

// ufwPorts writes ports as ufw does: in rising order, and ranges with a colon.
func ufwPorts(ports []any) string {
	if len(ports) == 0 {
		return "any"
	}
	words := make([]string, 0, len(ports))
	for _, p := range ports {
		words = append(words, strings.ReplaceAll(limitText(p), "-", ":"))
	}
	slices.SortStableFunc(words, func(a, b string) int { return firstPort(a) - firstPort(b) })
	return strings.Join(words, ",")
}

func firstPort(word string) int {
	low, _, _ := strings.Cut(word, ":")
	n, err := strconv.Atoi(low)
	if err != nil {
		return 0
	}
	return n
}

// ufwTuples are the rules that a declaration stands for, those of IPv4 and of IPv6 apart.
func (r *FirewallRule) ufwTuples() (families [2][]ufwTuple, err error) {
	from, err := byFamily("from", r.From)
	if err != nil {
		return families, err
	}
	to, err := byFamily("to", r.To)
	if err != nil {
		return families, err
	}
	t := ufwTuple{
		route: r.Chain == "forward", out: r.Chain == "output", action: ufwAction(orWord(r.Action, "accept")), protocol: orWord(r.Protocol, "any"),
		dport: ufwPorts(r.Ports), sport: "any", inIface: ufwIface(r.InInterface), outIface: ufwIface(r.OutInterface), comment: r.Name,
	}
	if r.Log != "" {
		t.log = "log"
	}
	any := [2]string{"0.0.0.0/0", "::/0"}
	for i := range families {
		if len(r.From) > 0 && from[i] == nil || len(r.To) > 0 && to[i] == nil || i == 1 && r.Protocol == "igmp" {
			continue
		}
		for _, src := range orAny(from[i], any[i]) {
			for _, dst := range orAny(to[i], any[i]) {
				t.src, t.dst = ufwAddress(src), ufwAddress(dst)
				families[i] = append(families[i], t)
			}
		}
	}
	if families[0] == nil && families[1] == nil {
		return families, fmt.Errorf("from and to are of different versions of IP")
	}
	return families, nil
}

func orAny(list []string, otherwise string) []string {
	if len(list) == 0 {
		return []string{otherwise}
	}
	return list
}

func ufwAction(action string) string {
	switch action {
	case "accept":
		return "allow"
	case "drop":
		return "deny"
	}
	return action
}

// ufwIface writes any end of the name of an interface as iptables does.
func ufwIface(name string) string {
	if head, any := strings.CutSuffix(name, "*"); any {
		return head + "+"
	}
	return name
}
