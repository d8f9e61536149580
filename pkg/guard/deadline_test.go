package guard

import (
	"testing"
	"time"
)

// The time of a guard is that since the boot: no step of a clock shortens or prolongs it, a reboot begins it anew, once.
func TestTheTimeOfAGuard(t *testing.T) {
	t.Parallel()
	began := wait{Boot: "one", Since: time.Hour, Timeout: 5 * time.Minute}
	again := wait{Boot: "two", Since: 10 * time.Second, Timeout: 5 * time.Minute, Again: true}
	for _, c := range []struct {
		about string
		w     wait
		boot  string
		up    time.Duration
		left  time.Duration
		kept  wait
	}{
		{"just begun", began, "one", time.Hour, 5 * time.Minute, began},
		{"in the middle", began, "one", time.Hour + 2*time.Minute, 3 * time.Minute, began},
		{"over", began, "one", time.Hour + 5*time.Minute, 0, began},
		{"long over", began, "one", 100 * time.Hour, 0, began},
		{"after a reboot it begins anew", began, "two", 10 * time.Second, 5 * time.Minute, again},
		{"also if the machine is up for longer than it was", began, "two", 9 * time.Hour, 5 * time.Minute,
			wait{Boot: "two", Since: 9 * time.Hour, Timeout: 5 * time.Minute, Again: true}},
		{"it goes on in the second boot", again, "two", 70 * time.Second, 4 * time.Minute, again},
		{"a third boot ends it", again, "three", time.Second, 0, again},
		{"a machine that was frozen and taken up elsewhere", began, "one", time.Minute, 5 * time.Minute,
			wait{Boot: "one", Since: time.Minute, Timeout: 5 * time.Minute}},
	} {
		left, kept := c.w.at(c.boot, c.up)
		if left != c.left || kept != c.kept {
			t.Errorf("%s: left %s and kept %+v, want %s and %+v", c.about, left, kept, c.left, c.kept)
		}
	}
}

func TestTheClockOfThisMachineGoesOn(t *testing.T) {
	t.Parallel()
	boot, up, err := MachineClock()
	if err != nil || boot == "" || up <= 0 {
		t.Fatalf("boot %q, up %s: %v", boot, up, err)
	}
	if again, later, err := MachineClock(); err != nil || again != boot || later < up {
		t.Errorf("boot %q, up %s after %q, %s: %v", again, later, boot, up, err)
	}
}
