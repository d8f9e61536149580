// Package window is the times at which changes may be made: hours of days of the week, by the clock on the wall of a time
// zone.
//
// It refuses to look at a clock: the time is given.
package window

import (
	"fmt"
	"slices"
	"time"
	_ "time/tzdata" // the zones are the same on every node, whatever it has installed
)

// A Window is a name and the spans it is the union of. The zero Window is open at any time.
type Window struct {
	Name  string `json:"name,omitempty"`
	Spans []Span `json:"spans,omitempty"`
}

// A Span is the same hours on some days of the week. A span whose end is not after its beginning ends on the next day, and
// belongs to the day it begins on.
//
// The clock on the wall decides, also on the days it is changed: hours that it jumps over do not come that day, and hours
// that it shows twice are open twice.
type Span struct {
	Days []time.Weekday `json:"days"`
	From int            `json:"from"` // minutes since midnight
	To   int            `json:"to"`   // 24*60: the end of the day
	Zone string         `json:"zone"` // IANA name; "Local" is that of the node
}

// Open reports whether a window is open.
func (w Window) Open(now time.Time) bool {
	if len(w.Spans) == 0 {
		return true
	}
	return slices.ContainsFunc(w.Spans, func(s Span) bool { return s.open(now) })
}

// Next returns when a window that is closed opens next, in the zone of that span; the zero time if it does not within nine
// days, such as because its zone is not known.
func (w Window) Next(now time.Time) time.Time {
	var next time.Time
	for _, s := range w.Spans {
		if t := s.next(now); !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

// Closed says in a few words that a window is closed and when it opens: `outside of the window nightly, which opens Mon 2
// Jan 01:00 CET`.
func (w Window) Closed(now time.Time) string {
	next := w.Next(now)
	if next.IsZero() {
		return fmt.Sprintf("outside of the window %s", w.Name)
	}
	return fmt.Sprintf("outside of the window %s, which opens %s", w.Name, next.Format("Mon 2 Jan 15:04 MST"))
}

func (s Span) open(now time.Time) bool {
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return false
	}
	wall := now.In(zone)
	minute, day := wall.Hour()*60+wall.Minute(), wall.Weekday()
	if s.From < s.To {
		return minute >= s.From && minute < s.To && slices.Contains(s.Days, day)
	}
	return minute >= s.From && slices.Contains(s.Days, day) || minute < s.To && slices.Contains(s.Days, (day+6)%7)
}

// next looks at the beginning of the span on each of the next days; where the clock jumps over it, at what follows the jump.
func (s Span) next(now time.Time) time.Time {
	zone, err := time.LoadLocation(s.Zone)
	if err != nil {
		return time.Time{}
	}
	wall := now.In(zone)
	for day := range 9 {
		begin := time.Date(wall.Year(), wall.Month(), wall.Day()+day, s.From/60, s.From%60, 0, 0, zone)
		if begin.After(now) && begin.Hour()*60+begin.Minute() == s.From && s.open(begin) {
			return begin
		}
		// A span that begins in the hour that is jumped over opens when the clock has jumped, if it goes on then.
		for t := begin.Truncate(15 * time.Minute).Add(-time.Hour); t.Before(begin.Add(2 * time.Hour)); t = t.Add(15 * time.Minute) {
			if t.After(now) && s.open(t) {
				return t
			}
		}
	}
	return time.Time{}
}
