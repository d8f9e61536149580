package resources

import (
	"slices"
	"strings"
	"testing"
)

// A rule of ufw that can be read is written as it was read, and its command names one version of IP.
func FuzzUfwTuple(f *testing.F) {
	f.Add("### tuple ### route:allow_log udp 53 0.0.0.0/0 any 10.0.0.0/8 in_eth0!out_eth1 comment=667764")
	f.Add("### tuple ### deny any any ::/0 any 2001:db8::/32 out")
	f.Add("### tuple ### allow any any 0.0.0.0/0 any 0.0.0.0/0 OpenSSH - in")
	f.Fuzz(func(t *testing.T, line string) {
		rule, ok := parseUfwTuple(line)
		if !ok {
			return
		}
		again, ok := parseUfwTuple(ufwMark + rule.key())
		if again.comment = rule.comment; !ok || again != rule {
			t.Fatalf("%q is read as %+v, and what that writes as %+v", line, rule, again)
		}
		if argv := rule.argv("delete"); !slices.Contains(argv, "from") || !slices.Contains(argv, "to") || slices.Contains(argv, "comment") && rule.comment == "" && !strings.Contains(line, "comment") {
			t.Fatalf("%q is deleted by %q", line, argv)
		}
	})
}

// Whatever is in the file of a zone, reading it is the same twice, and no element is a line of its own.
func FuzzZone(f *testing.F) {
	f.Add([]byte(`<zone target="DROP"><forward/><port port="80" protocol="tcp"/><rule family="ipv4" priority="-1"><source address="192.0.2.0/24" invert="yes"/><drop><limit value="1/m"/></drop></rule></zone>`))
	f.Add([]byte(`<zone><rule><service name="ssh"/><log prefix="x" level="info"><limit value="1/m"/></log><reject type="icmp-port-unreachable"/></rule></zone>`))
	f.Fuzz(func(t *testing.T, data []byte) {
		zone, err := parseZone(data)
		if err != nil {
			return
		}
		again, err := parseZone(data)
		if err != nil || !slices.Equal(elementsOf(zone), elementsOf(again)) {
			t.Fatalf("read twice, %q is %q and %q, %v", data, elementsOf(zone), elementsOf(again), err)
		}
		for _, r := range zone.RichRules {
			if !strings.HasPrefix(r, "rule") {
				t.Fatalf("%q has the rule %q", data, r)
			}
		}
	})
}
