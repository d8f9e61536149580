package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/report"
)

// bootClock is a machine whose up time the test sets.
type bootClock struct {
	mu   sync.Mutex
	boot string
	up   time.Duration
}

func (b *bootClock) clock() (string, time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.boot, b.up, nil
}

func (b *bootClock) set(boot string, up time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.boot, b.up = boot, up
}

const guarded = "kind: Module\nresources:\n  - file: /etc/motd\n    content: \"new\\n\"\n    mode: \"0640\"\n    guard: {confirm: checkin, timeout: 5m}\n" +
	"  - file: /etc/after\n    content: x\n    requires: [\"file:/etc/motd\"]\n"

// guardRig is a host with an old /etc/motd, a policy that guards a new one, and a clock.
func guardRig(t *testing.T) (*rig, *bootClock, func(*Config)) {
	t.Helper()
	r := newRig(t)
	motd := filepath.Join(r.root, "etc/motd")
	if err := errors.Join(os.WriteFile(motd, []byte("old\n"), 0o604), os.Chmod(motd, 0o604)); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	r.publish(motdPolicy("", map[string]string{"modules/motd/module.yaml": guarded}))
	b := &bootClock{boot: "one", up: time.Hour}
	return r, b, func(c *Config) { c.Boot = b.clock }
}

func (r *rig) mode(t *testing.T) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(r.root, "etc/motd"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().String()
}

func (r *rig) waiting(t *testing.T) []guard.State {
	t.Helper()
	states, err := guard.Read(r.state.Path(guardFile))
	if err != nil {
		t.Fatal(err)
	}
	return states
}

func resultOf(run report.Run, id string) report.Result {
	for _, res := range run.Results {
		if res.ID == id {
			return res
		}
	}
	return report.Result{}
}

// A guarded change stays when a check-in that began after it succeeds; then nothing of what was there before is kept.
func TestAGuardedChangeIsConfirmedByACheckIn(t *testing.T) {
	t.Parallel()
	r, _, boot := guardRig(t)
	run := r.once(r.start(boot))
	r.wantMotd("new")
	res := resultOf(run, "motd/file:/etc/motd")
	if res.Outcome != report.Changed || res.Guard != "reverts unless a check-in succeeds within 5m" {
		t.Errorf("the change is reported as %q, guard %q", res.Outcome, res.Guard)
	}
	if resultOf(run, "motd/file:/etc/after").Outcome != report.Changed {
		t.Error("what requires it did not come in the same run")
	}
	if _, err := os.Stat(r.state.Path(guardFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was there before is still kept: %v", err)
	}
}

// Without a check-in the change is taken back when its time is over, before anything else, and not tried again until the
// bundle changes or an operator says so.
func TestAGuardedChangeThatNobodyConfirmsIsTakenBack(t *testing.T) {
	t.Parallel()
	r, b, boot := guardRig(t)
	r.service.away = errors.New("no route to host")
	a := r.start(boot)
	if _, err := a.Cycle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wantMotd("new")
	info, err := os.Stat(r.state.Path(guardFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("what was there before is kept with mode %v, %v; want 0600", info.Mode(), err)
	}
	if w := r.waiting(t); len(w) != 1 || w[0].State != guard.StateWaiting || w[0].Resource != "motd/file:/etc/motd" {
		t.Errorf("status says %+v", w)
	}
	if err := a.CheckIn(t.Context()); err == nil {
		t.Fatal("a check-in succeeded")
	}
	b.set("one", time.Hour+5*time.Minute-time.Second)
	cycle(t, a)
	r.wantMotd("new")
	b.set("one", time.Hour+5*time.Minute)
	run := cycle(t, a)
	r.wantMotd("old")
	if got := r.mode(t); got != "-rw----r--" {
		t.Errorf("the mode is %s", got)
	}
	res := resultOf(run, "motd/file:/etc/motd")
	if res.Outcome != report.Failed || res.Reason != "reverted: no check-in within 5m" {
		t.Errorf("the resource is %s: %s", res.Outcome, res.Reason)
	}
	if after := resultOf(run, "motd/file:/etc/after"); after.Outcome != report.Skipped {
		t.Errorf("what requires it is %s", after.Outcome)
	}

	r.service.away = nil
	a = r.start(boot) // also after a restart
	r.once(a)
	r.wantMotd("old")
	if err := AskRetry(r.state); err != nil {
		t.Fatal(err)
	}
	r.once(a)
	r.wantMotd("new")
	if w := r.waiting(t); len(w) != 0 {
		t.Errorf("after the confirmation status says %+v", w)
	}
}

// Another bundle is tried, although the declaration is the same.
func TestAnotherBundleTriesAgainWhatWasTakenBack(t *testing.T) {
	t.Parallel()
	r, b, boot := guardRig(t)
	r.service.away = errors.New("no route to host")
	a := r.start(boot)
	cycle(t, a)
	b.set("one", 2*time.Hour)
	cycle(t, a)
	r.wantMotd("old")
	r.publish(motdPolicy("", map[string]string{"modules/motd/module.yaml": guarded, "modules/motd/files/x": "another bundle"}))
	cycle(t, a)
	r.wantMotd("new")
}

// An agent that was killed while a change waits takes it back at its next start, if its time is over by then.
func TestARestartedAgentTakesBackFirst(t *testing.T) {
	t.Parallel()
	r, b, boot := guardRig(t)
	r.service.away = errors.New("no route to host")
	cycle(t, r.start(boot))
	b.set("two", time.Minute) // rebooted: the time begins again
	cycle(t, r.start(boot))
	r.wantMotd("new")
	b.set("two", 6*time.Minute)
	a := r.start(boot)
	r.origin.cut(true)
	cycle(t, a)
	r.wantMotd("old")
	if !strings.Contains(r.logged.String(), "a guarded change was taken back") {
		t.Errorf("the log does not say so:\n%s", r.logged)
	}
}

// A check-in that was under way when the change was made proves nothing.
func TestACheckInThatBeganBeforeConfirmsNothing(t *testing.T) {
	t.Parallel()
	r, _, boot := guardRig(t)
	a := r.start(boot)
	mark := a.guard.Mark()
	cycle(t, a)
	if err := a.guard.Confirm(mark); err != nil {
		t.Fatal(err)
	}
	if len(r.waiting(t)) != 1 {
		t.Error("the change is confirmed")
	}
}

// A dry run says what is guarded, and neither takes back nor keeps anything.
func TestADryRunSaysWhatIsGuarded(t *testing.T) {
	t.Parallel()
	r, _, boot := guardRig(t)
	run := r.once(r.start(boot, func(c *Config) { c.DryRun = true }))
	if res := resultOf(run, "motd/file:/etc/motd"); res.Guard != "reverts unless a check-in succeeds within 5m" {
		t.Errorf("guard %q", res.Guard)
	}
	r.wantMotd("old")
	if len(r.waiting(t)) != 0 {
		t.Error("something is kept")
	}
}

func cycle(t *testing.T, a *Agent) report.Run {
	t.Helper()
	run, err := a.Cycle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return run
}
