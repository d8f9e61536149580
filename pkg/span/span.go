// Package span says durations as people say them, in their largest unit.
//
// It refuses to read any, and to be exact: what programs read is written by time.Duration and RFC 3339.
package span

import (
	"strconv"
	"strings"
	"time"
)

// Of renders a duration: 20ms, 12s, 3m, 2h, 5d.
func Of(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 2*time.Minute:
		return d.Round(time.Second).String()
	case d < 2*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Hour).String(), "0m0s")
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "d"
}

// Ago renders how long before now something was, in whole seconds and more: "3m ago", or "never" for the zero time. What is still to come, by a clock
// that is ahead of this one, was just now: "0s ago".
func Ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return Of(max(0, now.Sub(t).Truncate(time.Second))) + " ago"
}
