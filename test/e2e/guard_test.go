//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/report"
)

const (
	guardFile = stateDir + "/guard.json"
	wall      = "wall/firewall_policy:main"
	settings  = "wall/file:/etc/wall.conf"
)

// TestGuard cuts a machine off from its service by its own policy, which has a guard: the machine comes back by itself, whatever
// happens to the agent meanwhile.
func TestGuard(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(t, "git", "-C", s.path("policy"), "rm", "-q", "-r", "roles", "modules", "data")
	s.commit(t, "A wall", map[string]string{"roles/all.yaml": "kind: Role\nmodules: [wall]\n", "modules/wall/module.yaml": wallModule("first", "udp dport 9 drop")})
	s.up(t)
	n := s.boot(t, "edge-1")[0]
	n.shell(t, "apt-get install -y -q nftables >/dev/null 2>&1")
	n.enrol(t)
	n.keepsWhatIsConfirmed(t)
	n.comesBackByItself(t, "second", func() {})
	n.comesBackByItself(t, "third", func() {
		n.MustExec(t, "systemctl", "kill", "--signal=KILL", "--kill-whom=main", "vigo-agent")
	})
	n.comesBackByItself(t, "fourth", func() {
		if err := n.PowerCut(); err != nil {
			t.Fatal(err)
		}
		if err := n.Boot(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	s.commit(t, "A wall with a gate", map[string]string{"modules/wall/module.yaml": wallModule("last", "tcp dport 9 drop")})
	n.becomes(t, check{"cat /run/wall.effective; nft list table inet main | grep -c 'tcp dport 9 drop'; test -e " + guardFile + " || echo confirmed", "last\n1\nconfirmed"})
	n.quiet(t, time.Now())
}

// TestGuardOfAnAddress gives a machine an address with which it does not reach its service. Its network is set up by
// systemd-networkd, which has to take up the old one again.
func TestGuardOfAnAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(t, "git", "-C", s.path("policy"), "rm", "-q", "-r", "roles", "modules", "data")
	module := func(address string) map[string]string {
		return map[string]string{"roles/all.yaml": "kind: Role\nmodules: [net]\n", "modules/net/module.yaml": `kind: Module
resources:
  - network_interface: eth0
    provider: networkd
    addresses: ["` + address + `"]
    guard: {confirm: checkin, timeout: 30s}
`}
	}
	n := s.boot(t, "edge-2")[0]
	good, bad := n.Addr().String()+"/24", "192.0.2.7/24"
	s.commit(t, "An address", module(good))
	s.up(t)
	n.shell(t, "systemctl mask --quiet systemd-networkd-wait-online.service && systemctl start systemd-networkd")
	n.enrol(t)
	n.becomes(t, check{"networkctl status eth0 --no-pager | grep -o 10-vigo-eth0.network | sort -u; test -e " + guardFile + " || echo confirmed", "10-vigo-eth0.network\nconfirmed"})
	n.quiet(t, time.Now())
	const addresses = "ip -4 -o address show dev eth0 | awk '{print $4}'"
	before := n.shell(t, addresses+"; cat /etc/systemd/network/10-vigo-eth0.network")
	s.commit(t, "A wrong address", module(bad))
	n.becomes(t, check{addresses, bad})
	n.becomes(t, check{addresses + "; cat /etc/systemd/network/10-vigo-eth0.network", before})
	if r := n.reverted(t, "net/network_interface:eth0", bad); r.Reason != "reverted: no check-in within 30s" {
		t.Errorf("the report says: %s", r.Reason)
	}
}

// wallModule has a firewall with one rule for what the machine sends, and a file that a program is told of.
func wallModule(text, rule string) string {
	return fmt.Sprintf(`kind: Module
resources:
  - firewall_policy: main
    input: accept
    output: accept
    output_rules: ["%[1]s"]
    guard: {confirm: checkin, timeout: 20s}
  - file: /etc/wall.conf
    content: "%[2]s\n"
    mode: "0640"
    notify: ["exec:tell"]
    guard: {confirm: checkin, timeout: 20s}
  - exec: tell
    command: [cp, /etc/wall.conf, /run/wall.effective]
    refresh_only: true
  - file: /etc/wall.after
    content: "%[2]s\n"
    requires: ["firewall_policy:main"]
`, rule, text)
}

// keepsWhatIsConfirmed: a change that leaves the way to the service open stays, and how it was before is not kept.
func (n *node) keepsWhatIsConfirmed(t *testing.T) {
	t.Helper()
	r := n.result(t, wall, report.Changed)
	if r.Guard != "reverts unless a check-in succeeds within 20s" {
		t.Errorf("the report says of the guard: %q", r.Guard)
	}
	n.becomes(t, check{"nft list table inet main | grep -c 'udp dport 9 drop'; cat /run/wall.effective /etc/wall.after; test -e " + guardFile + " || echo confirmed",
		"1\nfirst\nfirst\nconfirmed"})
	n.quiet(t, time.Now())
}

// comesBackByItself publishes a rule that drops all that the machine says to its service, and something else at the moment when
// that is in the kernel.
func (n *node) comesBackByItself(t *testing.T, text string, meanwhile func()) {
	t.Helper()
	const (
		kernel = "nft --stateless list table inet main"
		files  = "cd /etc && stat -c '%a %U %s %n' wall.conf nftables.d/main.nft && cat wall.conf nftables.d/main.nft && cat /run/wall.effective"
	)
	table, before := n.shell(t, kernel), n.shell(t, files)
	host, port, _ := strings.Cut(n.site.addr, ":")
	n.site.commit(t, "A wall without a gate", map[string]string{
		"modules/wall/module.yaml": wallModule(text, "ip daddr "+host+" tcp dport "+port+" drop comment \\\""+text+"\\\"")})
	n.becomes(t, check{"nft list table inet main | grep -c '" + text + "'; cat /run/wall.effective; stat -c '%a %U' " + guardFile, "1\n" + text + "\n600 root"})
	began := time.Now()
	st := n.status(t)
	if len(st.Guarded) != 2 || st.Guarded[0].Resource != wall || st.Guarded[1].Resource != settings || st.Guarded[1].State != "waiting" {
		t.Errorf("status says %+v", st.Guarded)
	}
	if _, _, code, err := n.Exec(t.Context(), "timeout", "2", "bash", "-c", "</dev/tcp/"+host+"/"+port); err != nil || code == 0 {
		t.Fatalf("the machine is not cut off: code %d, %v", code, err)
	}
	meanwhile()
	n.becomes(t, check{kernel, table})
	t.Logf("%s: back after %s", text, time.Since(began).Round(100*time.Millisecond))
	n.becomes(t, check{files, before})
	for _, id := range []string{settings, wall} {
		if r := n.reverted(t, id, text); r.Reason != "reverted: no check-in within 20s" {
			t.Errorf("the report says of %s: %s", id, r.Reason)
		}
	}
	var waiting int
	for _, g := range n.status(t).Guarded {
		if g.State == "waiting" {
			waiting++
		}
	}
	if got := n.status(t); waiting > 0 || len(got.Reverted()) != 2 {
		t.Errorf("status says %+v", got.Guarded)
	}
	// Runs that follow leave it alone.
	after := time.Now()
	n.await(t, "a later run", func(d report.NodeDetail) error {
		if !d.Run.Started.After(after) || d.Run.Counts.Failed != 2 {
			return fmt.Errorf("%+v", d.Run)
		}
		return nil
	})
	n.is(t, check{kernel, table}, check{files, before})
}

// reverted waits for the failure that the newest bundle met.
func (n *node) reverted(t *testing.T, id, text string) (found report.Result) {
	t.Helper()
	var st agent.Status
	n.await(t, id+" taken back: "+text, func(d report.NodeDetail) error {
		st = n.status(t)
		for _, run := range d.Runs {
			for _, r := range run.Results {
				if run.Bundle == st.Bundle && r.ID == id && r.Outcome == report.Failed {
					found = r
					return nil
				}
			}
		}
		return fmt.Errorf("no run of bundle %s says so", st.Bundle)
	})
	return found
}
