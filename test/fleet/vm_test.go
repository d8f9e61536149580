//go:build linux

package fleet_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"vigo.dev/test/fleet"
)

func TestVirtualMachine(t *testing.T) {
	t.Parallel() // it waits as much as it works
	began := time.Now()
	v := fleet.StartVM(t, fleet.VMOptions{Name: "vm", Arguments: []string{"fleet.test=1"}})
	t.Logf("up after %v", time.Since(began).Round(time.Millisecond))

	if state := strings.TrimSpace(v.MustExec(t, "systemctl", "is-system-running")); state != "running" {
		t.Errorf("the system is %s:\n%s", state, v.MustExec(t, "systemctl", "--failed", "--no-pager"))
	}
	for what, script := range map[string]string{
		"its name":             `test "$(hostname)" = vm`,
		"its kernel":           "grep -qw fleet.test=1 /proc/cmdline",
		"its modules":          "modprobe 8021q",
		"its disks":            "mkfs.ext4 -q /dev/ubdb && mount /dev/ubdb /mnt && umount /mnt && test -b /dev/ubdc",
		"no way out":           "! ip route get 198.51.100.1",
		"background processes": "sleep 1000 & true",
	} {
		if out, stderr, code, err := v.Exec(t.Context(), "/bin/sh", "-ec", script); err != nil || code != 0 {
			t.Errorf("%s: %v, exit code %d: %s%s", what, err, code, out, stderr)
		}
	}
	big := strings.Repeat("all of it\n", 1<<20)
	v.WriteFile(t, "/srv/deep/big", big, 0o640)
	if v.ReadFile(t, "/srv/deep/big") != big {
		t.Error("a large file came back changed")
	}
	if _, _, code, err := v.Exec(t.Context(), "/bin/sh", "-c", "kill -TERM $$"); code != 128+15 || err != nil {
		t.Errorf("exit code %d, %v for a command that was killed", code, err)
	}
	if _, _, code, err := v.Exec(t.Context(), "nothing-of-this-name"); code != 127 || err != nil {
		t.Errorf("exit code %d, %v for a command that does not exist", code, err)
	}
	for range 6 { // more than there are lines
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if _, _, _, err := v.Exec(ctx, "sleep", "1000.5"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a command that took too long: %v", err)
		}
		cancel()
	}
	if out, _, _, err := v.Exec(t.Context(), "pgrep", "-af", "sleep 1000.5"); out != "" || err != nil {
		t.Errorf("it still runs: %s%v", out, err)
	}

	before := bootID(t, v)
	began = time.Now()
	if err := v.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("rebooted in %v", time.Since(began).Round(time.Millisecond))
	if bootID(t, v) == before {
		t.Error("the same boot id")
	}
	if v.ReadFile(t, "/srv/deep/big") != big {
		t.Error("the reboot changed a file")
	}
}
