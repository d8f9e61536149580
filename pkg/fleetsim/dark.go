package fleetsim

import (
	"context"
	"fmt"
	"time"

	"vigo.dev/pkg/report"
)

// Darkness is what the service made of a hub that went dark, and of the nodes behind it.
type Darkness struct {
	Nodes  int     `json:"nodes"`  // behind the hub
	Events int     `json:"events"` // that say the hub is dark: one is right
	After  float64 `json:"after"`  // ms from three of its intervals after its last report to that event, by the clock of the service
	Silent int     `json:"silent"` // of the nodes: they count as silent by now
	Told   int     `json:"told"`   // of the nodes: there was an event of their own, and none is right
}

// darkHub is the name of the hub that goes dark.
func (s *Sim) darkHub() string { return s.Prefix + "-hub-dark" }

// behindDark is whether a node is behind the hub that goes dark: those with the highest numbers are.
func (s *Sim) behindDark(i int) bool { return i >= s.Nodes-s.Dark }

// reportDark reports as the hub that goes dark, until it does.
func (s *Sim) reportDark(ctx context.Context) error {
	if s.dark == nil {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.darkened, cancel)()
	return s.dark.report(ctx, s.Dark, s.Version, s.Now)
}

// darkness compares the events of the service since a moment with what happened.
func (s *Sim) darkness(ctx context.Context, events []report.Event, silent map[string]bool) (*Darkness, error) {
	st, err := s.People.Status(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("asking which hubs are dark: %w", err)
	}
	var hub report.HubStatus
	for _, h := range st.Hubs {
		if h.Name == s.darkHub() {
			hub = h
		}
	}
	d := &Darkness{Nodes: s.Dark}
	told := map[string]bool{}
	for _, e := range events {
		switch {
		case e.Kind == "hub.dark" && e.Node == s.darkHub():
			d.Events++
			d.After = millis(e.At.Sub(hub.Seen.Add(3 * hub.Interval)))
		case e.Kind == "node.stale":
			told[e.Node] = true
		}
	}
	for i := s.Nodes - s.Dark; i < s.Nodes; i++ {
		if silent[s.nameOf(i)] {
			d.Silent++
		}
	}
	for _, n := range s.nodes {
		if n.dark && !n.starved && told[n.name] {
			d.Told++
		}
	}
	return d, nil
}

// since are the events of the service after a moment.
func (s *Sim) since(ctx context.Context, moment time.Time) ([]report.Event, error) {
	all, err := s.People.Events(ctx, maxEvents)
	if err != nil {
		return nil, fmt.Errorf("asking what happened: %w", err)
	}
	var events []report.Event
	for _, e := range all {
		if e.At.After(moment) {
			events = append(events, e)
		}
	}
	return events, nil
}

// maxEvents is how many events a service tells at once.
const maxEvents = 10_000
