package dashboard

import "net/http"

// topProblems is how many problems the overview lists.
const topProblems = 50

// overview is how the fleet is, problems first.
func (d *Dashboard) overview(_ *http.Request, p *page) error {
	p.name, p.Title, p.Section, p.Command = "overview", "Overview", "overview", "vigo status"
	return nil
}
