package dashboard

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
)

// controlPage is the controls that the policy serves over the fleet, those that want a person first.
type controlPage struct {
	report.Controls
	Name    string // part of the names that are shown
	Rows    []controlRow
	Met     int // controls that are met on every node
	Matched int
	pages
}

// controlRow is one control over the fleet.
type controlRow struct{ report.Control }

// Bar is its nodes by state.
func (c controlRow) Bar() bar {
	return newBar(c.Name, part{Class: "ok", Name: "ok", Count: c.OK}, part{Class: "never", Name: "unknown", Count: c.Unknown}, part{Class: "changed", Name: "skipped", Count: c.Skipped},
		part{Class: "drift", Name: "drift", Count: c.Drift}, part{Class: "failed", Name: "failed", Count: c.Failed})
}

// Cells are its counts, each with where its nodes are.
func (c controlRow) Cells() []tile {
	cells := make([]tile, 0, 5)
	for _, state := range report.ControlStates() {
		cells = append(cells, tile{State: string(state), Name: string(state), Href: controlLink(c.Name, string(state)), Count: c.Count(state)})
	}
	return cells
}

// Link leads to all its nodes.
func (c controlRow) Link() string { return controlLink(c.Name, "") }

func controlLink(control, state string) string {
	v := url.Values{"control": {control}}
	if state != "" {
		v.Set("state", state)
	}
	return "/ui/compliance?" + v.Encode()
}

// controlNodes is one control with its nodes.
type controlNodes struct {
	controlRow
	State   string
	Nodes   []report.ControlNode
	Matched int
	Listed  bool // all that match are within what the service lists
	pages
}

// pages are those of a list.
type pages struct {
	Page, Pages, First, Last int
	path                     string
	base                     url.Values
}

// To is the address of another page, "" if there is none.
func (p pages) To(step int) string {
	if to := p.Page + step; to >= 1 && to <= p.Pages {
		v := url.Values{}
		for name, values := range p.base {
			v[name] = values
		}
		v.Set("page", strconv.Itoa(to))
		return p.path + "?" + v.Encode()
	}
	return ""
}

// paged cuts a page out of a list; what is no number is the first.
func paged[T any](list []T, path string, base url.Values, asked string) ([]T, pages) {
	p := pages{Pages: max(1, (len(list)+perPage-1)/perPage), path: path, base: base}
	p.Page, _ = strconv.Atoi(asked)
	p.Page = min(max(1, p.Page), p.Pages)
	from := (p.Page - 1) * perPage
	rest := list[from:min(len(list), from+perPage)]
	p.First, p.Last = min(from+1, len(list)), from+len(rest)
	return rest, p
}

func (d *Dashboard) compliance(r *http.Request, p *page) error {
	v := r.URL.Query()
	if control := v.Get("control"); control != "" {
		return d.control(r, p, control, v.Get("state"))
	}
	c := controlPage{Name: strings.TrimSpace(v.Get("name"))}
	var err error
	if c.Controls, err = d.Compliance.Controls(r.Context(), ""); err != nil {
		return err
	}
	var list []controlRow
	for _, one := range c.Controls.Controls {
		if one.OK == one.Nodes {
			c.Met++
		}
		if strings.Contains(strings.ToLower(one.Name), strings.ToLower(c.Name)) {
			list = append(list, controlRow{one})
		}
	}
	slices.SortStableFunc(list, func(a, b controlRow) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(b.Drift, a.Drift), cmp.Compare(b.Skipped, a.Skipped), cmp.Compare(b.Unknown, a.Unknown))
	})
	base := url.Values{}
	if c.Name != "" {
		base.Set("name", c.Name)
	}
	c.Matched = len(list)
	c.Rows, c.pages = paged(list, "/ui/compliance", base, v.Get("page"))
	p.name, p.Title, p.Section, p.Body, p.Command = "compliance", "Compliance", "compliance", c, "vigo controls"
	return nil
}

// control shows the nodes of one control.
func (d *Dashboard) control(r *http.Request, p *page, name, state string) error {
	known := slices.Contains(report.ControlStates(), report.ControlState(state))
	if state != "" && !known {
		return api.Refuse(api.ErrBadRequest, "state: %.40q is none of a control", state)
	}
	answer, err := d.Compliance.Controls(r.Context(), name)
	if err != nil {
		return err
	}
	if len(answer.Controls) == 0 {
		return api.Refuse(api.ErrNotFound, "the policy of no node serves the control %.80q", name)
	}
	c := controlNodes{controlRow: controlRow{answer.Controls[0]}, State: state}
	list := slices.DeleteFunc(answer.Nodes, func(n report.ControlNode) bool { return known && string(n.State) != state })
	c.Matched = c.Control.Nodes
	if known {
		c.Matched = c.Count(report.ControlState(state))
	}
	base := url.Values{"control": {name}}
	p.Command = "vigo controls " + quoted(name)
	if known {
		base.Set("state", state)
		p.Command += " --state " + state
	}
	c.Listed = c.Matched <= len(list)
	c.Nodes, c.pages = paged(list, "/ui/compliance", base, r.URL.Query().Get("page"))
	p.name, p.Title, p.Section, p.Body = "control", name, "compliance", c
	return nil
}
