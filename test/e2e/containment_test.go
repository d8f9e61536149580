//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// listener is a unit that accepts on a port of a machine.
const listener = `[Service]
ExecStart=/usr/bin/perl -MIO::Socket::INET -e 'my $$s = IO::Socket::INET->new(LocalPort => %i, Listen => 9, ReuseAddr => 1) or die $$!; while (my $$c = $$s->accept) { close $$c }'
`

// TestContainment flips the mode of the example policy on a machine with a firewall of its own: the kernel has the walls at once, the way
// to the fleet stays open, so that the machine goes on to be managed, and the end of the mode takes all of it back.
func TestContainment(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.run(t, "git", "-C", s.path("policy"), "rm", "-q", "-r", "roles", "modules", "data")
	if err := os.CopyFS(s.path("policy", "modules", "containment"), os.DirFS("../../policies-example/modules/containment")); err != nil {
		t.Fatal(err)
	}
	centre := s.host.Addr().String()
	s.addr = net.JoinHostPort(centre, "8443") // the port that the module leaves open
	s.commit(t, "Containment", map[string]string{
		"fleet.yaml": "kind: Fleet\nname: acme\ninterval: 3s\nmodes: {containment: false}\n",
		"roles/all.yaml": fmt.Sprintf("kind: Role\nmodules:\n  - containment: {admins: [%s/32], servers: [%[1]s], stopped: [listen@81]}\n",
			centre),
	})
	s.up(t)
	n := s.boot(t, "web-1")[0]
	n.shell(t, "apt-get install -y -q nftables >/dev/null 2>&1; nft add table inet house; nft add chain inet house in '{ type filter hook input priority 10; }'")
	n.WriteFile(t, "/etc/systemd/system/listen@.service", listener, 0o644)
	n.MustExec(t, "systemctl", "start", "listen@22", "listen@80", "listen@81")
	elsewhere := s.listen(t)
	n.enrol(t)
	n.quiet(t, time.Now())
	open := map[string]bool{"in 22": true, "in 80": true, "out 8443": true, "out elsewhere": true}
	before := n.shell(t, "nft list ruleset")
	n.reaches(t, elsewhere, open)

	s.edit(t, "fleet.yaml", "containment: false", "containment: true")
	n.becomes(t, check{"nft list table inet containment | grep -c 'policy drop'; test -e " + guardFile + " || echo confirmed", "3\nconfirmed"})
	during := n.shell(t, "nft list ruleset")
	for _, want := range []string{before, "ip daddr " + centre + " tcp dport { 443, 8443 } accept", "tcp dport 22 accept"} {
		if !strings.Contains(during, want) {
			t.Errorf("the rules are\n%s\nwithout\n%s", during, want)
		}
	}
	n.reaches(t, elsewhere, map[string]bool{"in 22": true, "in 80": false, "out 8443": true, "out elsewhere": false})
	n.is(t, check{"systemctl is-active listen@81 || true", "inactive"})
	n.quiet(t, time.Now()) // it is told what to do, and says that it did
	if r := n.result(t, "containment/firewall_policy:containment", report.Changed); r.Guard != "reverts unless a check-in succeeds within 2m" {
		t.Errorf("the report says of the guard: %q", r.Guard)
	}

	s.edit(t, "fleet.yaml", "containment: true", "containment: false")
	n.becomes(t, check{"nft list ruleset", before})
	n.reaches(t, elsewhere, open)
	n.quiet(t, time.Now())
}

// listen accepts where the programs of the site run, at an address that is not that of Vigo.
func (s *site) listen(t *testing.T) (address string) {
	t.Helper()
	l, err := s.host.Listen(t.Context(), "tcp", s.host.Addr().String()+":0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// reaches waits until connections to and from the machine can be made, or cannot, as wanted.
func (n *node) reaches(t *testing.T, elsewhere string, want map[string]bool) {
	t.Helper()
	out := map[string]string{"out 8443": n.site.addr, "out elsewhere": elsewhere}
	eventually(t, fmt.Sprint(n.Name(), " reaches and is reached: ", want), func(ctx context.Context) error {
		var wrong []error
		for way, may := range want {
			can := false
			if address, is := out[way]; is {
				_, _, code, err := n.Exec(ctx, "timeout", "2", "bash", "-c", "</dev/tcp/"+strings.Replace(address, ":", "/", 1))
				can = err == nil && code == 0
			} else {
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				c, err := n.site.host.DialContext(ctx, "tcp", net.JoinHostPort(n.Addr().String(), strings.TrimPrefix(way, "in ")))
				cancel()
				if can = err == nil; can {
					c.Close()
				}
			}
			if can != may {
				wrong = append(wrong, fmt.Errorf("%s: %v, want %v", way, can, may))
			}
		}
		return errors.Join(wrong...)
	})
}
