package dashboard

import (
	"net/http"
	"path"
	"strconv"
	"strings"

	"vigo.dev/pkg/report"
)

// channels is what is published, to whom, and what waits for people.
func (d *Dashboard) channels(_ *http.Request, p *page) error {
	p.name, p.Title, p.Section, p.Command = "channels", "Channels", "channels", "vigo status"
	return nil
}

// hubs is how the relays of sites are.
func (d *Dashboard) hubs(_ *http.Request, p *page) error {
	p.name, p.Title, p.Section, p.Command = "hubs", "Hubs", "hubs", "vigo status"
	return nil
}

// The limits of what is read of events and of the audit log for one page.
const (
	readEvents = 2000
	showEvents = 200
	showAudit  = 100
)

// eventPage is what happened, newest first.
type eventPage struct {
	Kind, Node string // globs
	Rows       []moment
	Nodes      []string // of the rows
	Read       int
	Full       bool // there are older ones that were not looked at
}

func (d *Dashboard) events(r *http.Request, p *page) error {
	v := r.URL.Query()
	e := eventPage{Kind: strings.TrimSpace(v.Get("kind")), Node: strings.TrimSpace(v.Get("node"))}
	list, err := d.Operators.Events(r.Context(), readEvents)
	if err != nil {
		return err
	}
	e.Read, e.Full = len(list), len(list) == readEvents
	for _, ev := range list {
		if !fits(e.Kind, ev.Kind) || !fits(e.Node, ev.Node) {
			continue
		}
		if len(e.Rows) == showEvents {
			e.Full = true
			break
		}
		e.Rows, e.Nodes = append(e.Rows, moment{ev.At, eventClass(ev.Kind), ev.Kind, ev.Text}), append(e.Nodes, ev.Node)
	}
	p.name, p.Title, p.Section, p.Body = "events", "Events", "events", e
	p.Command = commandOf("vigo events", onlySet(map[string]string{"kind": e.Kind, "node": e.Node}))
	return nil
}

// fits is whether a glob matches; "" matches everything, and a glob that is malformed nothing.
func fits(glob, s string) bool {
	ok, err := path.Match(glob, s)
	return glob == "" || err == nil && ok
}

func onlySet(m map[string]string) map[string][]string {
	out := map[string][]string{}
	for key, value := range m {
		if value != "" {
			out[key] = []string{value}
		}
	}
	return out
}

// heard is how many of the hubs are heard of.
func heard(hubs []report.HubStatus) string {
	dark := 0
	for _, h := range hubs {
		if silent(h.Presence) {
			dark++
		}
	}
	return strconv.Itoa(len(hubs)-dark) + "/" + strconv.Itoa(len(hubs))
}
