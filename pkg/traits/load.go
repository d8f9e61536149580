package traits

import (
	"context"
	"fmt"

	"vigo.dev/pkg/host"
)

// Load is how many tasks ran or waited for a processor or a disk, averaged over time.
//
//	when: load.five < 4
type Load struct {
	// One is the average of the last minute.
	One float64 `json:"one"`
	// Five is the average of the last five minutes.
	Five float64 `json:"five"`
	// Fifteen is the average of the last fifteen minutes.
	Fifteen float64 `json:"fifteen"`
}

func collectLoad(_ context.Context, h *host.Host) (Load, error) {
	text, err := read(h, "/proc/loadavg")
	if err != nil {
		return Load{}, missing(err)
	}
	var l Load
	if _, err := fmt.Sscan(text, &l.One, &l.Five, &l.Fifteen); err != nil {
		return Load{}, fmt.Errorf("reading /proc/loadavg: %w", err)
	}
	return l, nil
}
