package vigocmd

import (
	"errors"

	"github.com/spf13/pflag"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/window"
)

// recurring are the hours of a maintenance that comes again.
type recurring struct {
	days        []string
	hours, zone string
}

func (r *recurring) flags(f *pflag.FlagSet) {
	f.StringVar(&r.hours, "hours", "", "only in these hours of each day, such as 01:00-05:00, again and again until it is over")
	f.StringSliceVar(&r.days, "days", nil, "only on these days, such as sat,sun")
	f.StringVar(&r.zone, "timezone", "", "of --hours and --days, such as Europe/Amsterdam (default UTC)")
}

// window is when it goes on; zero: always.
func (r *recurring) window() (window.Window, error) {
	if r.hours == "" && len(r.days) == 0 {
		if r.zone != "" {
			return window.Window{}, errors.New("--timezone is that of --hours and --days")
		}
		return window.Window{}, nil
	}
	zone := r.zone
	if zone == "" {
		zone = "UTC"
	}
	span, err := window.ParseSpan(r.days, r.hours, zone)
	return window.Window{Spans: []window.Span{span}}, err
}

// inHours says when a maintenance goes on that does not always.
func inHours(m report.Maintenance) string {
	if len(m.Window.Spans) == 0 {
		return ""
	}
	return ", " + m.Window.String()
}
