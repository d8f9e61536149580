package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

func TestANodeThatIsCutOffGoesOnFromItsCache(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	r.once(r.start())
	r.origin.cut(true)
	r.service.away = errCut
	a := r.start() // the host was started anew, too
	for range 3 {
		r.now = r.now.Add(time.Minute)
		r.drift()
		if run := r.once(a); run.Counts.Corrected != 1 || run.Error != "" {
			t.Fatalf("the run: %+v\n%s", run, r.logged)
		}
		r.wantMotd("good")
	}
	if n := a.spool.Len(); n != 3 {
		t.Errorf("%d runs are spooled, want 3", n)
	}
	r.service.away = nil
	r.origin.cut(false)
	r.once(r.start())
	if got := r.service.last(t); got.Spooled != 3 || len(got.Refusals) != 0 {
		t.Errorf("the check-in says %d spooled, refusals %v", got.Spooled, got.Refusals)
	}
	if n := len(r.service.runs); n != 4 {
		t.Errorf("%d runs arrived, want the first and three repairs", n)
	}
}

// waitForRepair returns what waits until the host says text; so long the registry does not answer.
func (r *rig) waitForRepair(text string) func() {
	repaired := make(chan struct{})
	go func() {
		defer close(repaired)
		tick, end := time.NewTicker(5*time.Millisecond), time.After(time.Minute)
		defer tick.Stop()
		for {
			if data, err := os.ReadFile(filepath.Join(r.root, "etc/motd")); err == nil && string(data) == text+"\n" {
				return
			}
			select {
			case <-tick.C:
			case <-end:
				r.t.Error("the host was not repaired while the registry did not answer")
				return
			}
		}
	}()
	return func() { <-repaired }
}

func TestANodeThatIsCutOffDoesNotWaitForTheRegistryToRepairItsHost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	r.origin.cut(true)
	r.once(a) // it learns that nobody answers
	r.now = r.now.Add(time.Minute)
	r.drift()
	r.origin.stall = r.waitForRepair("good")
	if run := r.once(a); run.Counts.Corrected != 1 || run.Error != "" {
		t.Errorf("the run: %+v\n%s", run, r.logged)
	}
}

func TestWhatIsNewerIsEnforcedInTheCycleThatFindsTheRegistryBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	r.origin.cut(true)
	r.once(a)
	r.now = r.now.Add(time.Minute)
	r.publish(motdPolicy("better"))
	r.origin.cut(false)
	r.drift()
	r.origin.stall = r.waitForRepair("good") // the first answer comes late
	r.once(a)
	r.wantMotd("better")
	var sum report.Counts
	for _, run := range r.service.runs {
		sum.Changed, sum.Corrected = sum.Changed+run.Counts.Changed, sum.Corrected+run.Counts.Corrected
	}
	if a.spool.Len() != 0 || len(r.service.runs) != 3 || sum.Changed != 2 || sum.Corrected != 1 {
		t.Errorf("the service was told %+v, want the first run, the repair and the change", r.service.runs)
	}
}

// A line that goes dead in silence is found out by waiting; the host is repaired before that.
func TestALineThatGoesDeadIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	r.drift()
	r.origin.cut(true)
	r.origin.stall = r.waitForRepair("good") // until then nobody knows that it is cut
	r.once(a)
	r.wantMotd("good")
}

// While it is not known whether the registries are there, the loop goes on: drift is repaired in each cycle, and what they
// say in the end is heard.
func TestTheLoopGoesOnWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	answer, over := make(chan struct{}), make(chan time.Time)
	close(over)
	r.origin.stall = func() { <-answer }
	for range 2 {
		r.drift()
		if _, err := a.cycle(t.Context(), over); err != nil {
			t.Fatal(err)
		}
		r.wantMotd("good")
	}
	r.publish(motdPolicy("better"))
	close(answer)
	r.once(a)
	r.wantMotd("better")
}

func TestADamagedCacheIsMendedFromTheRegistry(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"emptied":   func(path string) error { return os.Truncate(path, 0) },
		"overwrote": func(path string) error { return os.WriteFile(path, []byte("garbage"), 0o600) },
		"removed":   os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.publish(motdPolicy("good"))
			r.once(r.start())
			err := filepath.WalkDir(r.state.Path(cacheDir), func(path string, e os.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					err = damage(path)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			r.drift()
			r.once(r.start())
			r.wantMotd("good")
			r.origin.cut(true)
			r.drift()
			r.once(r.start())
			r.wantMotd("good")
		})
	}
}

func TestADamagedIndexOfTheCacheDoesNotEndEnforcement(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"empty": "", "garbage": "}{", "cut": `{"schemaVersion":2,"manifests":[{"med`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.publish(motdPolicy("good"))
			r.once(r.start())
			r.origin.cut(true)
			if err := os.WriteFile(filepath.Join(r.state.Path(cacheDir), "index.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			r.drift()
			r.once(r.start())
			r.wantMotd("good")
		})
	}
}

func TestWhatTheCacheHoldsIsVerifiedAtEveryStart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	r.once(r.start())
	r.keys.root = newKeys(t).root // the root has changed: what was signed before is not trusted any more
	r.pin()
	r.origin.cut(true)
	r.drift()
	run := r.once(r.start())
	if run.Error == "" {
		t.Error("a bundle by a key that is not trusted was enforced")
	}
	r.wantMotd("by hand")
}

func TestAFailureIsToldOnceAndItsEndToo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	if err := os.Remove(filepath.Join(r.root, "etc/motd")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.root, "etc/motd"), 0o755); err != nil { // which the file will not replace
		t.Fatal(err)
	}
	for range 3 {
		r.now = r.now.Add(time.Minute)
		if run := r.once(a); run.Counts.Failed != 1 {
			t.Fatalf("the run: %+v", run)
		}
	}
	if err := os.Remove(filepath.Join(r.root, "etc/motd")); err != nil {
		t.Fatal(err)
	}
	r.once(a)
	var told []report.Compliance
	for _, run := range r.service.runs {
		told = append(told, run.Compliance())
	}
	if len(told) != 3 || told[1] != report.ComplianceFailed || told[2] == report.ComplianceFailed {
		t.Errorf("the service was told %v, want a change, one failure, its end", told)
	}
}

// TestARunIsDeliveredOnceThoughTheAnswerIsLost: the service has it, the agent does not know, and sends it under the same ID.
func TestARunIsDeliveredAgainUnderItsIDWhenTheAnswerIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	var seen []string
	r.service.onPut = func(run report.Run) error {
		seen = append(seen, run.ID)
		if len(seen) == 1 {
			return context.DeadlineExceeded
		}
		return nil
	}
	a := r.start()
	r.once(a)
	if err := r.start().CheckIn(t.Context()); err != nil { // after a crash
		t.Fatal(err)
	}
	if len(seen) != 2 || seen[0] != seen[1] {
		t.Errorf("delivered: %v", seen)
	}
	if err := errors.Join(a.CheckIn(t.Context())); err != nil || len(seen) != 2 {
		t.Errorf("delivered again: %v, %v", seen, err)
	}
}
