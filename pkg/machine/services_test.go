//go:build linux

package machine

import (
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestRunningCountsWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		active, sub string
		job         uint32
		want        bool
	}{
		{"active", "running", 0, true},
		{"active", "exited", 0, true},
		{"reloading", "reload", 12, true},
		{"activating", "start-pre", 12, true},
		{"inactive", "dead", 12, true}, // at boot, before its turn
		{"inactive", "dead", 0, false},
		{"activating", "auto-restart", 0, false},
		{"activating", "auto-restart-queued", 12, false},
		{"deactivating", "stop-sigterm", 12, false},
		{"failed", "failed", 0, false},
	} {
		if got := running(c.active, c.sub, c.job); got != c.want {
			t.Errorf("a unit that is %s (%s) with job %d is running: %v, want %v", c.active, c.sub, c.job, got, c.want)
		}
	}
	pair := dbus.MakeVariantWithSignature([]any{uint32(7), dbus.ObjectPath("/org/freedesktop/systemd1/job/7")}, dbus.ParseSignatureMust("(uo)"))
	if got := jobID(pair); got != 7 {
		t.Errorf("the job of a unit is %d, want 7", got)
	}
	if got := jobID(dbus.Variant{}); got != 0 {
		t.Errorf("a unit without the property has job %d", got)
	}
}
