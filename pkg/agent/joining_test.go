package agent

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/report"
)

// joined has the node enrolled at a time.
func joined(at time.Time) func(*Config) { return func(c *Config) { c.Enrolment.Enrolled = at } }

// TestANewNodeWaitsForItsSecrets runs on a node that the controller did not know when it sealed: what needs a secret waits and is no
// failure, also after a restart, and the rest is enforced. When they are sealed to it, it has them; when they are not within the time
// there is for that, what needs one has failed.
func TestANewNodeWaitsForItsSecrets(t *testing.T) {
	t.Parallel()
	for name, sealed := range map[string]func(*rig) *bundle.Target{
		"nothing is sealed to anybody": func(*rig) *bundle.Target { return nil },
		"others have theirs":           func(r *rig) *bundle.Target { return r.sealed(nodeKey(r.t), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, key := newRig(t), nodeKey(t)
			at := r.now
			built := r.build(secretPolicy(), nil, bundle.Builder{})
			r.sign(built.Descriptor, r.keys.bundle)
			point := func(s *bundle.Target) {
				p := r.pointer(built.Descriptor)
				p.Secrets = s
				r.point(p, r.keys.channel)
			}
			before := sealed(r)
			point(before)
			a := r.start(withKey(key), joined(at))
			waits := func(run report.Run) {
				t.Helper()
				if run.Counts.Failed != 0 || run.Counts.Waiting != 3 || run.Compliance() != report.ComplianceDrift || r.motd() != "hello" {
					t.Errorf("it does not wait: %+v", run)
				}
				const reason = "it waits for the controller to seal secret db/password to this node, which has just joined; from 12:05:00 UTC on that is a failure"
				if !slices.ContainsFunc(run.Results, func(res report.Result) bool { return res.Outcome == report.Skipped && res.Reason == reason }) {
					t.Errorf("it says %+v", run.Results)
				}
			}
			waits(r.once(a))
			waits(r.once(a)) // without the change that the first has made
			told := len(r.service.runs)
			r.now = at.Add(joining - time.Second)
			waits(r.once(a))
			if len(r.service.runs) != told {
				t.Error("the same is reported twice")
			}
			waits(r.once(r.start(withKey(key), joined(at))))

			r.now = at.Add(joining)
			run := r.once(a)
			if run.Counts.Failed != 3 || run.Counts.Waiting != 0 || !strings.Contains(run.Results[len(run.Results)-1].Reason, "is not sealed to this node") {
				t.Errorf("it waits for ever: %+v", run)
			}
			point(r.sealed(key, nil))
			if run := r.once(a); run.Counts.Failed+run.Counts.Skipped != 0 || !strings.Contains(r.file("etc/db.conf"), planted) {
				t.Errorf("with secrets: %+v", run)
			}
			point(before)
			if run := r.once(a); run.Counts.Failed != 3 {
				t.Errorf("a node that has been there for long lost its secrets: %+v", run.Counts)
			}
		})
	}
}

// TestOnlyAKnownAndPassedTimeMakesANodeNew does not trust a clock that went back, and waits for nothing on a node that enrolled before
// the time was kept.
func TestOnlyAKnownAndPassedTimeMakesANodeNew(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		at   time.Time
		want bool
	}{
		"not kept": {time.Time{}, false}, "now": {now, true}, "a while ago": {now.Add(time.Second - joining), true},
		"long ago": {now.Add(-joining), false}, "to come": {now.Add(time.Second), false},
	} {
		a := idle(t, time.Minute)
		a.Now, a.Enrolment.Enrolled = func() time.Time { return now }, c.at
		if got := a.unsealed("").waiting(now); got != c.want {
			t.Errorf("%s: it waits: %v", name, got)
		}
	}
	if (*opened)(nil).waiting(now) {
		t.Error("without anything looked for it waits")
	}
}

// TestANodeThatWaitsForItsSecretsLooksAgainSoon, and less often as time goes by, but within its interval; without anything that waits,
// when it is its time.
func TestANodeThatWaitsForItsSecretsLooksAgainSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := idle(t, 30*time.Second)
		a.Enrolment.Enrolled = time.Now()
		a.secrets.Store(a.unsealed(""))
		waits := report.Run{Counts: report.Counts{Skipped: 1, Waiting: 1}}
		var at []time.Duration
		for range 9 {
			a.hurry = a.haste(waits)
			a.pause(t.Context(), time.Now())
			at = append(at, time.Since(a.Enrolment.Enrolled).Round(time.Second))
		}
		s := time.Second
		if want := []time.Duration{2 * s, 4 * s, 6 * s, 9 * s, 14 * s, 20 * s, 30 * s, 46 * s, 68 * s}; !slices.Equal(at, want) {
			t.Errorf("it looks at %v, want %v", at, want)
		}
		a.hurry = a.haste(waits)
		began := time.Now()
		if a.pause(t.Context(), began); time.Since(began).Round(time.Millisecond) != 25500*time.Millisecond {
			t.Errorf("it looks after %s, which is more than its interval", time.Since(began))
		}
		if got := a.haste(report.Run{Counts: report.Counts{Skipped: 1}}); got != 0 {
			t.Errorf("it is in haste for what waits for nothing new: %s", got)
		}
		a.secrets.Store(a.none(""))
		if got := a.haste(waits); got != 0 {
			t.Errorf("it is in haste for a window: %s", got)
		}
	})
}
