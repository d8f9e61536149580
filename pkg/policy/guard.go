package policy

import (
	"time"

	"vigo.dev/pkg/fault"
)

// DefaultGuard is how long a guard waits that does not say.
const DefaultGuard = 5 * time.Minute

// The bounds of a guard: a check-in takes its time, and nobody is to be locked out for longer than a day.
const (
	minGuard = 10 * time.Second
	maxGuard = 24 * time.Hour
)

// A Guard has a change taken back unless a check-in succeeds after it.
type Guard struct {
	Timeout time.Duration `json:"timeout"` // 0: there is no guard
	Pos     fault.Pos     `json:"pos"`
}

func (r *reader) guard(e entry) Guard {
	r.level(3)
	g := Guard{Timeout: DefaultGuard, Pos: r.pos(e.node)}
	const example = "guard: {confirm: checkin, timeout: 5m}"
	entries, ok := r.mapping(e.value, "a guard")
	if !ok {
		return g
	}
	r.only(entries, "confirm", "timeout")
	confirmed := false
	for _, part := range entries {
		switch part.key {
		case "confirm":
			confirmed = true
			if how := r.str(part.value, "confirm"); how != "checkin" && how != "" {
				r.fail(part.value, "bad-value", example, "a change is confirmed by a checkin, not by %q", how)
			}
		case "timeout":
			before := len(*r.problems)
			g.Timeout = r.duration(part.value, "the timeout of a guard")
			if len(*r.problems) == before && (g.Timeout < minGuard || g.Timeout > maxGuard) {
				r.fail(part.value, "out-of-range", "", "the timeout of a guard is from %s to 24h, not %s", minGuard, g.Timeout)
			}
		}
	}
	if !confirmed {
		r.fail(e.value, "missing-key", example, "a guard needs the key %q", "confirm")
	}
	return g
}
