package resources

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
)

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
