//go:build linux

package fleet_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

// device is a machine that stands for one with two places for its system: /srv/board/runs names the one that runs, and what the boot
// loader would do is done by the test.
type device struct{ *fleet.Machine }

// declare puts a policy on the device that keeps a firmware.
func (d device) declare(t *testing.T, version string) {
	t.Helper()
	image := "image " + version
	d.WriteFile(t, "/srv/board/"+version, image, 0o644)
	for path, text := range map[string]string{
		"fleet.yaml":     "kind: Fleet\nname: boards\n",
		"roles/all.yaml": "kind: Role\nmodules: [board]\n",
		"modules/board/module.yaml": fmt.Sprintf(`kind: Module
resources:
  - firmware: system
    version: "%s"
    url: http://127.0.0.1:8094/%[1]s
    sha256: %x
    apply: [sh, -ec, 'cp "$1" /srv/board/other; echo "$VIGO_FIRMWARE_VERSION" >/srv/board/next', sh, "{}"]
    verify: [sh, -ec, 'test "$(cat /srv/board/runs)" = "$VIGO_FIRMWARE_VERSION"']
    health: [test, "!", -e, /srv/board/broken]
    deadline: 0s
    commit: [sh, -ec, 'cp /srv/board/runs /srv/board/kept']
    rollback: [sh, -ec, 'cp /srv/board/kept /srv/board/next']
`, version, sha256.Sum256([]byte(image))),
	} {
		d.WriteFile(t, "/srv/policy/"+path, text, 0o644)
	}
}

// run converges the device once and returns what became of the firmware.
func (d device) run(t *testing.T) report.Result {
	t.Helper()
	out, stderr, _, err := d.Exec(t.Context(), "vigo-agent", "apply", "--policy", "/srv/policy", "--state", "/srv/state", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var run report.Run
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr)
	}
	if len(run.Results) == 0 {
		return report.Result{Outcome: report.OK}
	}
	return run.Results[0]
}

func (d device) want(t *testing.T, what string, got report.Result, outcome report.Outcome, reason string) {
	t.Helper()
	if got.Outcome != outcome || !strings.Contains(got.Reason, reason) {
		t.Errorf("%s: want %s %q, got %+v", what, outcome, reason, got)
	}
}

// boot does as the boot loader: what was asked for runs then.
func (d device) boot(t *testing.T) {
	t.Helper()
	d.MustExec(t, "cp", "/srv/board/next", "/srv/board/runs")
	if err := d.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.serve(t)
}

// serve has the device fetch from itself.
func (d device) serve(t *testing.T) {
	t.Helper()
	d.MustExec(t, "systemd-run", "--unit=images", "perl", "-MIO::Socket::INET", "-e", `my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 8094, Listen => 5, ReuseAddr => 1) or die;
		while (my $c = $s->accept) { my ($v) = <$c> =~ m{/(\d)}; while (<$c>) { last if /^\r?$/ } print $c "HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\nimage $v"; close $c }`)
	d.MustExec(t, "sh", "-c", `for i in $(seq 200); do perl -MIO::Socket::INET -e 'exit !IO::Socket::INET->new(PeerAddr => "127.0.0.1:8094")' && exit 0; sleep 0.05; done; exit 1`)
}

// A device goes to a new system and stays with it, and goes back from one that does not work, over real boots.
func TestFirmware(t *testing.T) {
	fleet.Require(t)
	t.Parallel() // it waits as much as it works
	bin := os.Getenv("VIGO_BIN")
	if bin == "" {
		t.Fatal("set VIGO_BIN to the folder of the built programs (make build)")
	}
	d := device{fleet.Start(t, fleet.Options{Name: "board", Network: fleet.NewNetwork(t)})}
	d.CopyIn(t, filepath.Join(bin, "vigo-agent"), "/usr/local/bin/vigo-agent", 0o755)
	for _, name := range []string{"runs", "kept", "next"} {
		d.WriteFile(t, "/srv/board/"+name, "6\n", 0o644)
	}
	d.serve(t)

	d.declare(t, "7")
	d.want(t, "an image is applied", d.run(t), report.Changed, "")
	d.want(t, "it waits for the reboot", d.run(t), report.OK, "")
	d.MustExec(t, "test", "-e", "/run/reboot-required")
	if kept := d.ReadFile(t, "/srv/board/kept"); kept != "6\n" {
		t.Errorf("before the reboot %q is committed", kept)
	}
	d.boot(t)
	if got := d.run(t); got.Outcome != report.Changed && got.Outcome != report.Corrected {
		t.Errorf("the trial: %+v", got)
	}
	if kept := d.ReadFile(t, "/srv/board/kept"); kept != "7\n" {
		t.Errorf("after the trial %q is committed", kept)
	}
	d.want(t, "nothing is left to do", d.run(t), report.OK, "")

	d.declare(t, "8")
	d.want(t, "another image is applied", d.run(t), report.Changed, "")
	d.WriteFile(t, "/srv/board/broken", "", 0o644)
	d.boot(t)
	d.want(t, "a system that does not work", d.run(t), report.Failed, "the firmware is given up: it did not work")
	d.MustExec(t, "test", "-e", "/run/reboot-required")
	d.boot(t)
	if runs := d.ReadFile(t, "/srv/board/runs"); runs != "7\n" {
		t.Errorf("after the rollback %q runs", runs)
	}
	d.want(t, "it is not tried again", d.run(t), report.Failed, "firmware 8 was given up")
	d.declare(t, "7")
	d.want(t, "the old one is declared again", d.run(t), report.OK, "")
}
