package dashboard

import (
	"cmp"
	"net/http"
	"slices"

	"vigo.dev/pkg/report"
)

// maxDead is how many notices that could not be delivered are shown.
const maxDead = 50

// alertPage is what people are told, and what not.
type alertPage struct {
	report.Alerts
	Dead []report.DeadNotice
}

func (d *Dashboard) alerts(r *http.Request, p *page) error {
	list, err := d.Alerts.ListAlerts(r.Context())
	if err != nil {
		return err
	}
	dead, err := d.Dead.DeadNotices(r.Context(), maxDead)
	if err != nil {
		return err
	}
	slices.SortStableFunc(list.Alerts, func(a, b report.Alert) int { return cmp.Compare(weight(b), weight(a)) })
	p.name, p.Title, p.Section, p.Command, p.Body = "alerts", "Alerts", "alerts", "vigo alert list", alertPage{list, dead}
	return nil
}

// weight is how much an alert wants to be seen.
func weight(a report.Alert) int {
	w := map[string]int{"critical": 20, "warning": 10}[a.Severity]
	if a.State == "firing" && a.Muted == "" && a.Inhibited == "" {
		w += 100
	}
	return w
}

// severityClass is the state that a severity looks like.
func severityClass(severity string) string {
	switch severity {
	case "critical":
		return "failed"
	case "warning":
		return "stale"
	}
	return "changed"
}
