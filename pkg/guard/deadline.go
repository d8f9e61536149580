package guard

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Clock tells which boot of the machine this is, and how long it has been up: a time that goes on in sleep, and that
// nobody who sets the clock on the wall changes.
type Clock func() (boot string, up time.Duration, err error)

// MachineClock is the Clock of the machine that this program runs on: proc(5), random/boot_id and uptime, which counts sleep.
func MachineClock() (boot string, up time.Duration, err error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0, err
	}
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return "", 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || seconds < 0 || seconds > 1e9 {
		return "", 0, fmt.Errorf("reading /proc/uptime: %q is no number of seconds", first)
	}
	return strings.TrimSpace(string(id)), time.Duration(seconds * float64(time.Second)), nil
}

// A wait is how long a change may stand without a check-in.
type wait struct {
	Boot    string        `json:"boot"`
	Since   time.Duration `json:"since"` // up time when it began
	Timeout time.Duration `json:"timeout"`
	Again   bool          `json:"again,omitempty"` // it began anew after a reboot
}

// at returns how much of the wait is left, 0 when it is over, and the wait as it is to be kept from now on. How long a
// machine was off is not known without trust in its clock, so after a reboot the wait begins anew; once, or a machine that
// reboots all the time would wait for ever.
func (w wait) at(boot string, up time.Duration) (left time.Duration, kept wait) {
	switch {
	case w.Boot == boot && up >= w.Since:
		return max(0, w.Timeout-(up-w.Since)), w
	case w.Boot == boot: // the machine was frozen and taken up elsewhere
		w.Since = up
		return w.Timeout, w
	case w.Again:
		return 0, w
	}
	return w.Timeout, wait{Boot: boot, Since: up, Timeout: w.Timeout, Again: true}
}
