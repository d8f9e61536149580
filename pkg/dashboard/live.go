package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/report"
)

// The limits of what browsers are told while they look.
const (
	maxStreams = 500              // browsers at once
	maxRows    = 100              // changed nodes in one message; of more it is only said that there are
	beat       = 15 * time.Second // between two signs of life when nothing changes
	pace       = time.Second      // between two looks at the fleet
	share      = 10               // and at least so many times what a look took, however large the fleet is
)

// message is what browsers are told at once: parts of pages by their IDs, and rows of nodes by the names of the nodes.
type message struct {
	Parts map[string]string `json:"parts,omitempty"`
	Rows  map[string]row    `json:"rows,omitempty"`
	More  bool              `json:"more,omitempty"` // more nodes have changed than Rows has
	// Rollouts is that one of them has moved.
	Rollouts bool `json:"rollouts,omitempty"`
}

// row is a node that has changed: what to show, and what to say of it.
type row struct {
	HTML string `json:"html"`
	Said string `json:"said"`
}

// face is what a row shows of a node, beside ages.
type face struct {
	presence                     report.Presence
	compliance                   report.Compliance
	digest                       report.Digest
	bundle, reason, channel, hub string
	refusals                     int
	quarantine, maintenance      bool
}

func faceOf(n report.NodeStatus) face {
	return face{n.Presence, n.Compliance, n.Digest, n.Bundle, n.Reason, n.Channel, n.Hub, len(n.Refusals), n.Quarantine != nil, n.Maintenance != nil}
}

// live looks at the fleet while anybody does, once for all of them.
type live struct {
	d     *Dashboard
	ended chan struct{}

	mu   sync.Mutex
	subs map[*subscriber]bool
	came chan struct{} // somebody is new

	shown   map[string]face // nil: nobody looked; only run has it
	rolling string          // how far rollouts were
}

func newLive(d *Dashboard) *live {
	return &live{d: d, ended: make(chan struct{}), subs: map[*subscriber]bool{}, came: make(chan struct{}, 1)}
}

// subscriber is one browser. What it has not read yet is put together, so that a slow one costs no more than a quick one.
type subscriber struct {
	mu      sync.Mutex
	pending message
	wake    chan struct{}
}

func (s *subscriber) offer(m message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending.Parts == nil {
		s.pending = message{Parts: map[string]string{}, Rows: map[string]row{}}
	}
	maps.Copy(s.pending.Parts, m.Parts)
	maps.Copy(s.pending.Rows, m.Rows)
	s.pending.More = s.pending.More || m.More
	s.pending.Rollouts = s.pending.Rollouts || m.Rollouts
	if len(s.pending.Rows) > maxRows {
		s.pending.Rows, s.pending.More = map[string]row{}, true
	}
	select {
	case s.wake <- struct{}{}:
	default: // it has not read the last one
	}
}

func (s *subscriber) take() message {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.pending
	s.pending = message{}
	return m
}

// join adds a browser; nil when there are too many.
func (l *live) join() *subscriber {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.subs) >= maxStreams {
		return nil
	}
	s := &subscriber{wake: make(chan struct{}, 1)}
	l.subs[s] = true
	select {
	case l.came <- struct{}{}:
	default:
	}
	return s
}

func (l *live) leave(s *subscriber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.subs, s)
}

func (l *live) all() []*subscriber {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]*subscriber, 0, len(l.subs))
	for s := range l.subs {
		list = append(list, s)
	}
	return list
}

// run looks at the fleet each second, or less often where that takes long, and not at all while nobody is there.
func (l *live) run(ctx context.Context) {
	defer close(l.ended)
	for ctx.Err() == nil {
		subs := l.all()
		if len(subs) == 0 {
			l.shown = nil
			select {
			case <-ctx.Done():
			case <-l.came:
			}
			continue
		}
		began := time.Now()
		m, err := l.look(ctx)
		if err != nil && ctx.Err() == nil {
			l.d.Log.Warn("looking at the fleet for the dashboard", "err", err)
		}
		for _, s := range subs {
			if err == nil {
				s.offer(m)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(pace, share*time.Since(began))):
		}
	}
}

// look makes the message of what is and of what has changed since the last look.
func (l *live) look(ctx context.Context) (message, error) {
	ctx, cancel := context.WithTimeout(ctx, workTime)
	defer cancel()
	m := message{Parts: map[string]string{}, Rows: map[string]row{}}
	status, err := l.d.pulse.of(ctx, l.d.Operators)
	if err != nil {
		return m, err
	}
	nodes, err := l.d.Operators.Nodes(ctx, report.Query{})
	if err != nil {
		return m, err
	}
	p := &page{Pulse: &status, Now: l.d.Now(), Fleet: l.d.Fleet}
	for _, name := range []string{"pulse", "counters", "problems"} {
		if m.Parts[name], err = l.part(name, p); err != nil {
			return m, err
		}
	}
	now := rollingNow(status)
	m.Rollouts, l.rolling = l.shown != nil && now != l.rolling, now
	return m, l.changed(&m, nodes, p.Now)
}

// rollingNow is how far rollouts are, as one text to compare.
func rollingNow(status report.Status) string {
	var b strings.Builder
	for _, c := range status.Channels {
		b.WriteString(c.Channel + "\x00" + c.Rollout + "\x00")
	}
	return b.String()
}

// changed puts the rows of nodes that have changed since the last look into a message.
func (l *live) changed(m *message, nodes []report.NodeStatus, now time.Time) error {
	m.More = len(l.shown) > len(nodes) // some are gone: pages find out what is left
	first := l.shown == nil || m.More
	if first {
		l.shown = make(map[string]face, len(nodes))
	}
	for _, n := range nodes {
		f := faceOf(n)
		if before, known := l.shown[n.Name]; known && before == f {
			continue
		}
		l.shown[n.Name] = f
		if first {
			continue
		}
		if len(m.Rows) == maxRows {
			m.More = true
			continue
		}
		html, err := l.part("row", nodeRow{n, now})
		if err != nil {
			return err
		}
		m.Rows[n.Name] = row{html, n.Name + " is " + string(n.Presence) + ", " + string(n.Compliance)}
	}
	return nil
}

// part renders a part of pages.
func (l *live) part(name string, data any) (string, error) {
	var out bytes.Buffer
	err := l.d.pages["overview"].ExecuteTemplate(&out, name, data)
	return out.String(), err
}

// frame is a message on the wire.
func frame(m message) ([]byte, error) {
	data, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return append(append([]byte("event: fleet\ndata: "), data...), "\n\n"...), nil
}
