//go:build linux

package fleet_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

// A failure is something that goes wrong on a machine while a policy is applied. Every policy has two more resources: one that
// requires what fails, and one that has nothing to do with it.
type failure struct {
	name      string
	spoil     string // script that makes it go wrong
	resources string // of the module; the first one fails
	failed    string // its name in the report
	why       string // pattern of the reason that is told
	mend      string // script that puts it right
	still     string // script that succeeds while it is broken: nothing was lost; optional
}

// holdLock has a program hold the lock of dpkg until it is stopped.
const holdLock = `cat >/root/hold.pl <<'END'
use Fcntl;
open(my $lock, "+>>", "/var/lib/dpkg/lock-frontend") or die "opening: $!";
my $all = pack("s s x4 q q l x4", F_WRLCK, 0, 0, 0, 0);
fcntl($lock, F_SETLK, $all) or die "locking: $!";
open(my $said, ">", "/run/held"); close $said;
sleep;
END
systemd-run --quiet --unit=hold perl /root/hold.pl
for n in $(seq 100); do test -e /run/held && exit; sleep 0.1; done; systemctl status hold; journalctl -n20; exit 1`

func failures() []failure {
	return []failure{{
		name:      "a package cannot be downloaded",
		spoil:     `mkdir /root/debs && mv /srv/apt/tree_*.deb /root/debs/`,
		resources: "  - package: tree\n",
		failed:    "package:tree", why: `tree.*(File not found|No such file)`,
		mend: `mv /root/debs/* /srv/apt/`,
	}, {
		name:      "another program holds the lock of dpkg",
		spoil:     holdLock,
		resources: "  - package: fleet-demo\n    timeout: 3s\n",
		failed:    "package:fleet-demo", why: `(?s)lock.*(perl|held by process)`,
		mend: `systemctl stop hold`,
	}, {
		name: "the disk is full",
		spoil: `mkdir -p /srv/full && mount -t tmpfs -o size=64k full /srv/full && echo old >/srv/full/data && ` +
			`mkdir -p /srv/large && head -c 300000 /dev/zero | tr '\0' x >/srv/failures/files/large`,
		resources: "  - file: /srv/full/data\n    source: large\n",
		failed:    "file:/srv/full/data", why: `no space left on device`,
		still: `test "$(cat /srv/full/data)" = old && test "$(ls -A /srv/full)" = data`,
		mend:  `mount -o remount,size=4m /srv/full`,
	}, {
		name: "a service does not start",
		spoil: `printf '[Service]\nExecStart=/bin/sh -c "test -e /srv/licence && exec sleep 1000; echo no licence; exit 7"\n' >/etc/systemd/system/licensed.service
			systemctl daemon-reload`,
		resources: "  - service: licensed\n    running: true\n",
		failed:    "service:licensed", why: `(?s)starting service licensed: .*exit-code.*no licence`,
		mend: `touch /srv/licence`,
	}, {
		name: "a service was started too often for systemd to try again",
		spoil: `printf '[Unit]\nStartLimitBurst=1\nStartLimitIntervalSec=1h\n[Service]\nExecStart=/bin/sh -c "test -e /srv/paid && exec sleep 1000; echo not paid; exit 7"\n' >/etc/systemd/system/rented.service
			systemctl daemon-reload; systemctl start rented; sleep 0.2; ! systemctl start rented`,
		resources: "  - service: rented\n    running: true\n",
		failed:    "service:rented", why: `(?s)starting service rented: .*exit-code.*not paid`,
		mend: `touch /srv/paid`,
	}, {
		name: "a service does not start again",
		spoil: `printf '[Service]\nExecStart=/bin/sh -c "grep -q good /srv/app.conf && exec sleep 1000; exit 7"\n' >/etc/systemd/system/app.service
			systemctl daemon-reload; echo good >/srv/app.conf; systemctl start app`,
		resources: "  - service: app\n    running: true\n  - line: app\n    path: /srv/app.conf\n    text: bad\n    match: .\n    notify: service:app\n",
		failed:    "service:app", why: `restarting service app: .*exit-code`,
		mend: `sed -i 's/text: bad/text: good again/' /srv/failures/modules/case/module.yaml`,
	}, {
		name:      "a user is logged in who is to be removed",
		spoil:     `useradd --create-home ada && systemd-run --quiet --unit=session --uid=ada --property=Type=exec sleep 1000`,
		resources: "  - user: ada\n    ensure: absent\n",
		failed:    "user:ada", why: `(?s)ada.*(used by process|logged in)`,
		still: `id ada`,
		mend:  `systemctl stop session`,
	}, {
		name:      "a file system is busy that is to be unmounted",
		spoil:     `mkdir -p /srv/busy && mount -t tmpfs busy /srv/busy && systemd-run --quiet --unit=busy --property=Type=exec --working-directory=/srv/busy sleep 1000`,
		resources: "  - mount: /srv/busy\n    ensure: unmounted\n",
		failed:    "mount:/srv/busy", why: `(?s)/srv/busy.*busy`,
		still: `mountpoint -q /srv/busy`,
		mend:  `systemctl stop busy`,
	}, {
		name:      "a template asks for a trait that is not there",
		spoil:     `true`,
		resources: "  - file: /srv/asked\n    content: \"{{ .external.rack.number }}\"\n",
		failed:    "file:/srv/asked", why: `module.yaml:4:5: content: {{ .external.rack.number }} has no value on this node`,
		mend: `mkdir -p /etc/vigo/traits.d && echo '{"number": "7"}' >/etc/vigo/traits.d/rack.json`,
	}, {
		name:      "a command hangs",
		spoil:     `true`,
		resources: "  - exec: hang\n    command: [sh, -c, \"test -e /srv/let-go || sleep 3000 & wait; touch /srv/went\"]\n    creates: /srv/went\n    timeout: 1s\n",
		failed:    "exec:hang", why: `(?i)(timed out|longer than|timeout)`,
		still: `! pgrep -f '[s]leep 3000'`,
		mend:  `touch /srv/let-go`,
	}}
}

// TestFailures has one thing go wrong after the other on a booted machine: it is told with what and why, what requires it is
// skipped, the rest is converged, and the run after it was put right repairs it.
func TestFailures(t *testing.T) {
	fleet.Require(t)
	m := startWithAgent(t, "failures")
	for _, f := range failures() {
		t.Run(f.name, func(t *testing.T) { f.run(t, m) })
	}
}

// startWithAgent boots a machine that has the agent's program and no more.
func startWithAgent(t *testing.T, name string) *fleet.Machine {
	t.Helper()
	bin := os.Getenv("VIGO_BIN")
	if bin == "" {
		t.Fatal("set VIGO_BIN to the folder of the built programs (make build)")
	}
	m := fleet.Start(t, fleet.Options{Name: name, Network: fleet.NewNetwork(t)})
	m.CopyIn(t, filepath.Join(bin, "vigo-agent"), "/usr/local/bin/vigo-agent", 0o755)
	return m
}

func (f failure) run(t *testing.T, m *fleet.Machine) {
	const dir = "/srv/failures"
	m.MustExec(t, "rm", "-rf", dir)
	m.MustExec(t, "mkdir", "-p", dir+"/modules/case/files", dir+"/roles")
	f.spoil = strings.ReplaceAll(f.spoil, "/srv/failures/files", dir+"/modules/case/files")
	shell(t, m, f.spoil)
	m.WriteFile(t, dir+"/fleet.yaml", "kind: Fleet\nname: failures\n", 0o644)
	m.WriteFile(t, dir+"/roles/all.yaml", "kind: Role\nmodules: [case]\n", 0o644)
	m.WriteFile(t, dir+"/modules/case/module.yaml", "kind: Module\nresources:\n"+f.resources+
		"  - file: /srv/dependent\n    content: x\n    requires: "+f.failed+"\n  - file: /srv/rest\n    content: x\n", 0o644)
	m.MustExec(t, "rm", "-f", "/srv/dependent", "/srv/rest")

	run, code := applyOn(t, m, dir)
	if code != 3 {
		t.Errorf("exit status %d, want 3", code)
	}
	results := map[string]report.Result{}
	for _, r := range run.Results {
		results[strings.TrimPrefix(r.ID, "case/")] = r
	}
	failed := results[f.failed]
	told := failed.Reason + failed.Refresh
	if failed.Outcome != report.Failed && !strings.HasPrefix(failed.Refresh, "failed") || !regexp.MustCompile(f.why).MatchString(told) {
		t.Errorf("%s: %s, %q; want a reason like %s", f.failed, failed.Outcome, told, f.why)
	}
	if r := results["file:/srv/dependent"]; failed.Outcome == report.Failed && (r.Outcome != report.Skipped || !strings.Contains(r.Reason, f.failed)) {
		t.Errorf("what requires it: %+v", r)
	}
	if r := results["file:/srv/rest"]; r.Outcome != report.Changed && r.Outcome != report.Corrected {
		t.Errorf("what has nothing to do with it: %+v", r)
	}
	if f.still != "" {
		shell(t, m, f.still)
	}
	shell(t, m, f.mend)
	if run, code = applyOn(t, m, dir); code != 0 || run.Counts.Failed+run.Counts.Skipped > 0 {
		t.Errorf("the run after it was put right: exit status %d, %s", code, brief(run))
	}
	if run, _ = applyOn(t, m, dir); !run.Quiet() {
		t.Errorf("the run after that: %s", brief(run))
	}
}

// shell runs a script on a machine; it must succeed within a minute.
func shell(t *testing.T, m *fleet.Machine, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, stderr, code, err := m.Exec(ctx, "/bin/sh", "-ec", script)
	if err != nil || code != 0 {
		t.Fatalf("%v, exit status %d: %s\n%s%s", err, code, script, out, stderr)
	}
}

// applyOn applies a policy that is on a machine.
func applyOn(t *testing.T, m *fleet.Machine, policy string, args ...string) (report.Run, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, stderr, code, err := m.Exec(ctx, append([]string{"vigo-agent", "apply", "--policy", policy, "--state", policy + ".state", "-o", "json"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	var run report.Run
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		t.Fatalf("exit status %d: %v\n%s%s", code, err, out, stderr)
	}
	return run, code
}
