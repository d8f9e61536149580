package resources

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

// rebootMark holds the number of the process that waits to reboot a machine without systemd.
const rebootMark = "/run/vigo-reboot.pid"

// laterScript reboots a machine after some seconds ($1), and tells who is logged in ($2). It comes back at once. Without systemd
// a program waits in the foreground for the time of shutdown(8), if it knows times at all: that of sysvinit does, that of Debian's
// runit reboots at once, and BusyBox has none.
const laterScript = `{
	trap '' HUP
	sleep "$1"
	if command -v shutdown; then exec shutdown -r now; fi
	exec reboot
} </dev/null >/dev/null 2>&1 &
echo "$!" >` + rebootMark + `
if command -v wall >/dev/null; then wall "$2" </dev/null >/dev/null 2>&1; fi
exit 0`

// orderReboot has the machine reboot after a delay, and comes back at once.
func orderReboot(ctx context.Context, h *host.Host, delay time.Duration, message string) error {
	is, err := host.FindInit(h.FS)
	if err != nil {
		return fmt.Errorf("looking for the init system: %w", err)
	}
	switch is {
	case host.OpenRC, host.Runit, host.SysV:
		return runProgram(ctx, h, "sh", "-c", laterScript, "sh", strconv.Itoa(int(delay.Seconds())), message)
	}
	return runProgram(ctx, h, "shutdown", "-r", fmt.Sprintf("+%d", int(delay.Minutes())), message)
}

// rebootOrdered says whether the machine is to be rebooted or shut down soon: by systemd, by shutdown(8) of sysvinit, or by
// orderReboot.
func rebootOrdered(h *host.Host) (bool, error) {
	is, err := look(h, "/run/systemd/shutdown/scheduled")
	if err != nil || is != nil {
		return is != nil, err
	}
	for _, mark := range []string{rebootMark, "/run/shutdown.pid"} {
		text, err := h.FS.Read(mark, 64)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || pid <= 0 {
			continue // half written
		}
		is, err := look(h, "/proc/"+strconv.Itoa(pid))
		if err != nil || is != nil {
			return is != nil, err
		}
	}
	return false, nil
}
