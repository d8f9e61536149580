package traits

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// Uptime is how long the machine has been up.
//
//	when: uptime.days < 90
type Uptime struct {
	// Seconds since the machine was started.
	Seconds int64 `json:"seconds"`
	// Days is the same in whole days.
	Days int64 `json:"days"`
}

func collectUptime(_ context.Context, h *host.Host) (Uptime, error) {
	seconds, err := uptime(h)
	if err != nil {
		return Uptime{}, missing(err)
	}
	return Uptime{Seconds: seconds, Days: seconds / (24 * 60 * 60)}, nil
}

// uptime returns the seconds since the machine was started.
func uptime(h *host.Host) (int64, error) {
	text, err := read(h, "/proc/uptime")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(text, " ")
	seconds, err := strconv.ParseFloat(first, 64)
	if err != nil || seconds < 0 || seconds > 1e12 {
		return 0, fmt.Errorf("reading /proc/uptime: %q is no number of seconds", first)
	}
	return int64(seconds), nil
}
