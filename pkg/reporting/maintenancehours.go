package reporting

import (
	"slices"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/window"
)

const (
	maxRecurring = 400 * 24 * time.Hour // of a maintenance that goes on in some hours only
	maxSpans     = 14
)

// longest is how far ahead a maintenance may end.
func longest(m report.Maintenance) time.Duration {
	if len(m.Window.Spans) > 0 {
		return maxRecurring
	}
	return maxMute
}

// checkHours refuses hours that there are not. The zone of this service is none: where it runs is no matter of the nodes.
func checkHours(w window.Window) error {
	if len(w.Spans) > maxSpans {
		return api.Refuse(api.ErrTooLarge, "a maintenance has at most %d spans of hours", maxSpans)
	}
	for _, s := range w.Spans {
		const day = 24 * 60
		if s.From < 0 || s.From >= day || s.To < 0 || s.To > day || s.From == s.To {
			return api.Refuse(api.ErrBadRequest, "the hours of a maintenance are from and to minutes of a day that differ, not %d and %d", s.From, s.To)
		}
		if len(s.Days) == 0 || slices.ContainsFunc(s.Days, func(d time.Weekday) bool { return d < time.Sunday || d > time.Saturday }) {
			return api.Refuse(api.ErrBadRequest, "the hours of a maintenance are of days, from 0 (Sunday) to 6")
		}
		if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "" || s.Zone == "Local" {
			return api.Refuse(api.ErrBadRequest, "%.60q is not a time zone that is known; write one such as Europe/Amsterdam, or UTC", s.Zone)
		}
	}
	return nil
}
