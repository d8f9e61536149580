package up

import "vigo.dev/pkg/dashboard"

// dashboard makes the pages for browsers, of what the report service knows.
func (s *Stack) dashboard() (*dashboard.Dashboard, error) {
	return dashboard.New(dashboard.Config{Fleet: s.Fleet, Operators: s.reports, Inventory: s.reports, Compliance: s.reports, Alerts: s.reports, Rollouts: s.reports, Dead: s.reports, Auditor: s.reports, Door: s.reports, Logins: s.reports, SignIn: s.SignIn, Log: s.Log, Now: s.Now})
}
