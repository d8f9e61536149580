//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// TestTwoMachines is the life of a small fleet: two machines enrol over the network, become what the policy says, stay so
// over a reboot and while they are cut off, and tell all of it afterwards.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.up(t)
	nodes := s.boot(t, "web-1", "db-1")
	web, db := nodes[0], nodes[1]
	web.enrol(t, "role=web")
	db.enrol(t)
	for _, n := range nodes {
		n.quiet(t, time.Time{})
		n.isAsDeclared(t)
	}
	web.servesItsSite(t)
	db.is(t, check{"dpkg -s nginx-light 2>&1 | head -1 | cut -c1-40", "dpkg-query: package 'nginx-light' is not"})
	s.letsTheOperatorIn(t, web)

	for _, n := range nodes {
		n.changesNothingInASecondRun(t)
	}
	web.survivesAReboot(t)
	db.survivesBeingCutOff(t)
	s.knowsWhoIsSilent(t, web, db)
}

// isAsDeclared asks the machine's own programs for every resource of the roles that each machine has.
func (n *node) isAsDeclared(t *testing.T) {
	t.Helper()
	n.is(t,
		check{"hostname", n.Name() + ".acme.example"},
		check{"cat /etc/hostname", n.Name() + ".acme.example"},
		check{"readlink -f /etc/localtime", "/usr/share/zoneinfo/Europe/Berlin"},
		check{"date -d 2026-01-01T12:00Z +%H:%M%Z", "13:00CET"},
		check{"getent hosts printer", "10.77.0.99      printer.acme.example printer"},
		check{"sysctl -n net.ipv4.conf.all.accept_redirects net.ipv4.ip_forward", "0\n1"},
		check{"grep -hv '^#' /etc/sysctl.d/60-vigo-net.ipv4.ip_forward.conf", "net.ipv4.ip_forward = 1"},
		check{"grep -hv '^#' /etc/cron.d/vigo-tidy", "17 4 * * * root find /var/tmp -name '*.report' -mtime +30 -delete"},
		check{"stat -c '%a %U' /etc/cron.d/vigo-tidy", "644 root"},
		check{"findmnt -no FSTYPE,SIZE /srv/scratch", "tmpfs    4M"},
		check{"findmnt --verify --tab-file /etc/fstab >/dev/null && grep -c ^tmpfs /etc/fstab", "1"},
		check{"cat /etc/motd", "Welcome. This is " + n.Name() + ", Debian GNU/Linux 12 (bookworm)."},

		check{"id ada", "uid=2001(ada) gid=2000(ops) groups=2000(ops),4(adm)"},
		check{"getent passwd ada", "ada:x:2001:2000:Ada Operator:/home/ada:/bin/bash"},
		check{"getent passwd importer | cut -d: -f6,7; test $(id -u importer) -lt 1000 && echo system", "/var/lib/importer:/usr/sbin/nologin\nsystem"},
		check{"stat -c '%a %U %G' /home/ada/.ssh /home/ada/.ssh/authorized_keys", "700 ada ops\n600 ada ops"},
		check{"ssh-keygen -lf /home/ada/.ssh/authorized_keys | cut -d' ' -f1,3,4", "256 ada@acme (ED25519)"},
		check{"pwck -rq; grpck -rq; echo $?", "0"},
		check{"visudo -c >/dev/null; echo $?; stat -c '%a %U' /etc/sudoers.d/ops", "0\n440 root"},
		check{"sudo -l -U ada | tail -1 | xargs", "(root) NOPASSWD: ALL"},

		check{"dpkg -s openssh-server | sed -n 's/^Status: //p'", "install ok installed"},
		check{"dpkg --audit", ""},
		check{"sshd -t && sshd -T | grep -E '^(port|permitrootlogin|passwordauthentication) '", "port 2222\npermitrootlogin no\npasswordauthentication no"},
		check{"systemctl is-active ssh; systemctl is-enabled ssh", "active\nenabled"},
		check{"ss -Htln sport = :2222 | wc -l", "2"},
		check{"systemctl --failed --quiet --plain --no-legend", ""},
	)
}

func (n *node) servesItsSite(t *testing.T) {
	t.Helper()
	n.is(t,
		check{"systemctl is-active nginx; systemctl is-enabled nginx", "active\nenabled"},
		check{"nginx -t -q; echo $?", "0"},
		check{`bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET / HTTP/1.0\r\n\r\n" >&3; tail -1 <&3'`, "<h1>" + n.Name() + "</h1>"},
	)
}

// letsTheOperatorIn logs in over the network with the key from the policy, and becomes root by its sudo rule.
func (s *site) letsTheOperatorIn(t *testing.T, n *node) {
	t.Helper()
	ssh := func(user string) []string {
		return []string{"ssh", "-F", "/dev/null", "-i", s.path("operator"), "-p", "2222", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
			"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", user + "@" + n.Addr().String(), "sudo -n id -un"}
	}
	if got := strings.TrimSpace(s.run(t, ssh("ada")...)); got != "root" {
		t.Errorf("ada becomes %q by sudo, want root", got)
	}
	if _, _, err := s.try(t.Context(), ssh("root")...); err == nil {
		t.Error("root may log in")
	}
}

// changesNothingInASecondRun looks for any file of the machine that was written while several runs went by.
func (n *node) changesNothingInASecondRun(t *testing.T) {
	t.Helper()
	n.quiet(t, time.Now()) // whatever the check-ins after the last change had to write is written
	n.MustExec(t, "touch", "/run/mark")
	first := n.quiet(t, time.Now())
	last := n.quiet(t, first.Run.Started.Add(interval))
	// The journal is that of systemd; the agent says nothing in it.
	written := n.shell(t, "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /var/log/journal \\) -prune -o -cnewer /run/mark -print")
	if written != "" {
		t.Errorf("%s: runs with nothing to do wrote\n%s", n.Name(), written)
	}
	t.Logf("%s: %d resources ok in %s, and nothing was written", n.Name(), last.Run.Counts.OK, last.Run.Took.Round(100*time.Microsecond))
}

// survivesAReboot expects the agent to start by itself, and to find everything as declared.
func (n *node) survivesAReboot(t *testing.T) {
	t.Helper()
	before := arrived(n.detail(t))
	if err := n.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	up := time.Now()
	n.quiet(t, up)
	n.isAsDeclared(t)
	n.servesItsSite(t)
	d := n.detail(t)
	for _, run := range d.Runs[:len(d.Runs)-len(before)] {
		t.Errorf("%s had something to do after the reboot: %s %+v", n.Name(), run.Error, run.Results)
	}
	t.Logf("%s: converging by itself %s after it was up again", n.Name(), time.Since(up).Round(100*time.Millisecond))
}

// survivesBeingCutOff pulls the cable, breaks things by hand, changes the policy meanwhile, and plugs it in again.
func (n *node) survivesBeingCutOff(t *testing.T) {
	t.Helper()
	before := arrived(n.detail(t))
	if err := n.CutLink(); err != nil {
		t.Fatal(err)
	}
	n.site.edit(t, "modules/system/module.yaml", `"Welcome."`, `"Hello."`)
	var took []time.Duration
	for _, drift := range []struct{ damage, proof, sound string }{
		{"echo vandal >/etc/motd; chmod 666 /etc/motd", "cat /etc/motd; stat -c %a /etc/motd", "Welcome. This is " + n.Name() + ", Debian GNU/Linux 12 (bookworm).\n644"},
		{"sysctl -qw net.ipv4.ip_forward=0", "sysctl -n net.ipv4.ip_forward", "1"},
		{"systemctl stop ssh", "systemctl is-active ssh", "active"},
		{"gpasswd -d ada adm >/dev/null", "id -nG ada", "ops adm"},
		{"apt-get -qq remove openssh-server >/dev/null 2>&1", "dpkg-query -W -f '${Status}' openssh-server; systemctl is-active ssh", "install ok installedactive"},
	} {
		n.shell(t, drift.damage)
		began := time.Now()
		n.becomes(t, check{drift.proof, drift.sound})
		took = append(took, time.Since(began).Round(100*time.Millisecond))
	}
	// One interval, and at most half of one in which it is waited whether somebody answers. Installing takes as long as it takes.
	if slowest := slices.Max(took[:len(took)-1]); slowest > 3*interval {
		t.Errorf("%s: a repair took %s while the link was cut, the interval is %s", n.Name(), slowest, interval)
	}
	n.site.await(t, n.Name()+" known as stale", func(st report.Status) error { return hasProblem(st, n.Name(), "stale", "last seen") })
	waiting := n.spooled(t)
	if len(waiting) < 5 {
		t.Errorf("%s: %d runs are spooled after 5 repairs", n.Name(), len(waiting))
	}

	if err := n.RestoreLink(); err != nil {
		t.Fatal(err)
	}
	restored := time.Now()
	d := n.await(t, "every spooled run", func(d report.NodeDetail) error {
		if missing := slices.DeleteFunc(slices.Clone(waiting), func(id string) bool { return slices.Contains(arrived(d), id) }); len(missing) > 0 {
			return fmt.Errorf("%v have not arrived", missing)
		}
		return nil
	})
	t.Logf("%s: repairs while cut off took %v; %d spooled runs delivered %s after the link was back", n.Name(), took, len(waiting),
		time.Since(restored).Round(100*time.Millisecond))
	// Each once, in the order in which they happened, after those from before.
	if got := arrived(d)[len(before):]; !slices.Equal(got[:len(waiting)], waiting) {
		t.Errorf("%s: in the history are\n%v\nspooled were\n%v", n.Name(), got, waiting)
	}
	n.becomes(t, check{"cat /etc/motd", "Hello. This is " + n.Name() + ", Debian GNU/Linux 12 (bookworm)."})
	n.quiet(t, restored)
	if left := n.spooled(t); len(left) > 0 {
		t.Errorf("%s: %v wait on the disk and were delivered", n.Name(), left)
	}
	if ids := arrived(n.detail(t)); len(slices.Compact(slices.Sorted(slices.Values(ids)))) != len(ids) {
		t.Errorf("%s: a run is in the history twice: %v", n.Name(), ids)
	}
}

// knowsWhoIsSilent switches a machine off: it is stale after three of its intervals, and the other is not.
func (s *site) knowsWhoIsSilent(t *testing.T, silent, other *node) {
	t.Helper()
	silent.quiet(t, time.Now())
	if err := silent.PowerCut(); err != nil {
		t.Fatal(err)
	}
	st := s.await(t, silent.Name()+" known as stale", func(st report.Status) error {
		if st.Presences.Stale != 1 || st.Presences.Live+st.Presences.Late != 1 {
			return fmt.Errorf("%+v", st.Presences)
		}
		return hasProblem(st, silent.Name(), "stale", "last seen")
	})
	after := st.Now.Sub(silent.detail(t).Seen)
	if after < 3*interval || after > 3*interval+2*time.Second {
		t.Errorf("%s is stale %s after it was heard of last, want 3 x %s", silent.Name(), after, interval)
	}
	if err := hasProblem(st, other.Name(), "", ""); err == nil {
		t.Errorf("%s has a problem, too: %+v", other.Name(), st.Problems)
	}
	t.Logf("%s: stale %s after its last check-in; its interval is %s", silent.Name(), after.Round(10*time.Millisecond), interval)
}

// hasProblem looks in a status for a problem of a node; an empty kind is any.
func hasProblem(st report.Status, node, kind, text string) error {
	for _, p := range st.Problems {
		if p.Node == node && (kind == "" || p.Kind == kind) && strings.Contains(p.Text, text) {
			return nil
		}
	}
	return fmt.Errorf("there is no problem %q of %s with %q: %+v", kind, node, text, st.Problems)
}
