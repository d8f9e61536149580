package resources

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/window"
)

// slowTurns gives the turn when it is asked, after some time.
type slowTurns struct {
	host.Turns
	*wall
	takes time.Duration
}

// wall is a clock on the wall.
type wall struct{ at time.Time }

func (w *wall) Now() time.Time { return w.at }

func (s slowTurns) Reboot(ctx context.Context, why string, delay time.Duration) error {
	s.at = s.at.Add(s.takes)
	return s.Turns.Reboot(ctx, why, delay)
}

// TestLockObtainedLate is locksmith#1886: the lock came when the window had closed, which was looked at only before that, and the
// machine rebooted outside of it. Here it is looked at when the turn has come, and it must be open when the machine goes down.
func TestLockObtainedLate(t *testing.T) {
	t.Parallel()
	night := window.Window{Name: "nightly", Spans: []window.Span{{Days: []time.Weekday{0, 1, 2, 3, 4, 5, 6}, From: 60, To: 120, Zone: "UTC"}}}
	for name, c := range map[string]struct {
		at    time.Duration // since 01:00
		takes time.Duration
		asks  bool
		goes  bool
		says  string
	}{
		"in the window":            {10 * time.Minute, time.Second, true, true, ""},
		"the answer comes late":    {58*time.Minute + 55*time.Second, 10 * time.Second, true, false, "ends before the machine would go down"},
		"it comes after the end":   {58 * time.Minute, 5 * time.Minute, true, false, "outside of the window nightly"},
		"the run took too long":    {2 * time.Hour, time.Second, false, false, "outside of the window nightly"},
		"the end is in the delay":  {59*time.Minute + 30*time.Second, time.Second, false, false, "ends before the machine would go down"},
		"just before the window":   {-time.Second, 0, false, false, "outside of the window nightly"},
		"the delay ends in time":   {58 * time.Minute, time.Second, true, true, ""},
		"at the moment it opens":   {0, 0, true, true, ""},
		"the delay ends too late":  {59 * time.Minute, 0, false, false, "ends before the machine would go down"},
		"a minute and an interval": {57 * time.Minute, 2 * time.Minute, true, false, "ends before the machine would go down"},
	} {
		m, err := hosttest.Parse([]byte("file /run/reboot-required\nfile /proc/uptime \"90000.00 1.00\\n\"\ncommand [\"shutdown\",\"-r\",\"+1\",\"*\"]\n"))
		if err != nil {
			t.Fatal(err)
		}
		h := m.Host()
		clock := &wall{time.Date(2026, 11, 25, 1, 0, 0, 0, time.UTC).Add(c.at)}
		h.Clock, h.Turns = clock, slowTurns{h.Turns, clock, c.takes}
		r := &Reboot{Name: "for updates"}
		r.Within(night)
		plan, err := r.Plan(t.Context(), h)
		if err == nil {
			_, err = plan.Apply(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		err = r.Finish(t.Context(), h)
		log := strings.Join(m.Log(), "\n")
		if goes := strings.Contains(log, `run ["shutdown"`); goes != c.goes {
			t.Errorf("%s: it reboots: %t, want %t\n%s", name, goes, c.goes, log)
		}
		asks, back := strings.Contains(log, "turn to reboot"), slices.Contains(m.Log(), "turn back")
		if asks != c.asks || back != (asks && !c.goes) {
			t.Errorf("%s: asks %t, gives back %t", name, asks, back)
		}
		wait, waits := errors.AsType[*host.Wait](err)
		if waits == c.goes || waits && !strings.Contains(wait.Reason, c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
