package reporting

import (
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/window"
)

// TestMaintenanceInSomeHours goes on in its hours alone, on each of its days, also after a restart.
func TestMaintenanceInSomeHours(t *testing.T) {
	t.Parallel()
	r, _ := maintained(t)
	span, err := window.ParseSpan(nil, "13:00-14:30", "UTC")
	must(t, err)
	r.begin(t, report.Maintenance{Nodes: []string{"web-*"}, Until: noon.AddDate(0, 0, 300), Window: window.Window{Spans: []window.Span{span}}})
	for _, step := range []struct {
		after time.Duration // noon
		on    bool
	}{{0, false}, {59 * time.Minute, false}, {time.Hour, true}, {2*time.Hour + 29*time.Minute + 59*time.Second, true}, {2*time.Hour + 30*time.Minute, false}, {25 * time.Hour, true}, {27 * time.Hour, false}} {
		r.set(noon.Add(step.after))
		if got := r.node(t, "web-1").Maintenance != nil; got != step.on {
			t.Errorf("at noon and %s it is in maintenance: %t", step.after, got)
		}
	}
	r.restart(t, 46*time.Hour+30*time.Minute) // three days and an hour and a half after noon
	if r.node(t, "web-1").Maintenance == nil {
		t.Error("it is not in maintenance after a restart")
	}
}

// TestHoursOfMaintenanceAreChecked: those that there are not are refused.
func TestHoursOfMaintenanceAreChecked(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	day := []time.Weekday{time.Monday}
	for name, s := range map[string]window.Span{"no days": {To: 60, Zone: "UTC"}, "a day that is none": {Days: []time.Weekday{7}, To: 60, Zone: "UTC"}, "no time": {Days: day, Zone: "UTC"},
		"after the day": {Days: day, To: 1500, Zone: "UTC"}, "before it": {Days: day, From: -1, To: 60, Zone: "UTC"}, "that of the service": {Days: day, To: 60, Zone: "Local"}, "no zone": {Days: day, To: 60}} {
		_, err := r.BeginMaintenance(t.Context(), report.Maintenance{Nodes: []string{"*"}, Reason: "x", Until: noon.Add(time.Hour), Window: window.Window{Spans: []window.Span{s}}})
		refusedAs(t, name, err, api.ErrBadRequest)
	}
	_, err := r.BeginMaintenance(t.Context(), report.Maintenance{Nodes: []string{"*"}, Reason: "x", Until: noon.AddDate(0, 0, 91)})
	refusedAs(t, "91 days without hours", err, api.ErrBadRequest)
}
