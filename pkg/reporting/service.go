// Package reporting is the report service: it takes what nodes say, knows who is silent and who is not as declared, and
// answers people.
//
// It refuses to hold policy signing keys, to decide what nodes run, and to acknowledge a run, an enrolment or a token
// before it is on disk.
package reporting

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// Config is what a service is made of.
type Config struct {
	DB        *sqlstore.DB // closed by the caller, after Run has returned
	CA        *identity.CA
	Fleet     string
	Channel   string        // of nodes whose token names none
	Interval  time.Duration // nodes are told
	Registry  []string      // references nodes are told to pull from
	TrustRoot []byte        // root document nodes pin
	Schema    *expr.Schema  // of traits, for queries
	Log       *slog.Logger
	Now       func() time.Time
}

// A Service is the report service. Its state of nodes is in memory, and on disk within the flush interval of the store.
type Service struct {
	Config
	metrics *metrics
	limits  limits

	mu        sync.Mutex
	nodes     map[string]*node
	operators []sqlstore.Operator
	channels  map[string]report.ChannelNote
	commits   map[string]string // bundle digest to commit
	known     map[string]bool   // facet digests that are kept
	began     time.Time
	down      time.Duration // how long nobody listened before
	rate      rate
}

// node is what the service knows of one node.
type node struct {
	sqlstore.Node
	seen    time.Time
	told    time.Duration
	window  identity.Window
	facets  map[string]string
	shown   report.Presence // as last written to the events
	account account
}

// account is what is kept of the last check-in and of how it came to that.
type account struct {
	Last    report.CheckIn    `json:"last"`
	State   report.Compliance `json:"state"`
	Since   time.Time         `json:"since"`
	Failing int               `json:"failing"`
	Reason  string            `json:"reason,omitempty"`
	First   time.Time         `json:"first,omitzero"` // of the failures in a row
	Changed time.Time         `json:"changed,omitzero"`
	Failed  map[string]string `json:"failed,omitempty"` // resource to outcome, of the last run that was reported whole
}

const (
	aliveKey    = "alive"
	channelsKey = "channels"
)

// New loads what the store holds.
func New(ctx context.Context, c Config) (*Service, error) {
	s := &Service{Config: c, nodes: map[string]*node{}, channels: map[string]report.ChannelNote{}, commits: map[string]string{}, began: c.Now()}
	s.metrics = newMetrics(s)
	if err := errors.Join(s.loadNodes(ctx), s.loadNotes(ctx)); err != nil {
		return nil, fmt.Errorf("loading the report service: %w", err)
	}
	var err error
	if s.operators, err = c.DB.Operators(ctx); err != nil {
		return nil, err
	}
	if s.known, err = c.DB.FacetDigests(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Service) loadNodes(ctx context.Context) error {
	list, err := s.DB.Nodes(ctx)
	if err != nil {
		return err
	}
	hot, err := s.DB.LoadHot(ctx)
	if err != nil {
		return err
	}
	for _, n := range list {
		known := &node{Node: n, told: s.Interval, account: account{State: report.ComplianceNever}}
		if h, ok := hot[n.Name]; ok {
			known.seen, known.told, known.facets = h.Seen, h.Told, h.Facets
			known.window = identity.NewWindow(h.Counter)
			if len(h.Doc) > 0 {
				if err := json.Unmarshal(h.Doc, &known.account); err != nil {
					return fmt.Errorf("reading what %s said last: %w", n.Name, err)
				}
			}
		}
		s.nodes[n.Name] = known
	}
	return nil
}

func (s *Service) loadNotes(ctx context.Context) error {
	var alive time.Time
	if err := s.DB.Note(ctx, aliveKey, &alive); err == nil {
		s.down = max(0, s.began.Sub(alive))
	} else if !errors.Is(err, sqlstore.ErrNotFound) {
		return err
	}
	if err := s.DB.Note(ctx, channelsKey, &s.channels); err != nil && !errors.Is(err, sqlstore.ErrNotFound) {
		return err
	}
	for _, c := range s.channels {
		s.commits[c.Digest] = c.Commit
	}
	return nil
}

// Run does what nobody asks for: presence events, the mark that the service listens, retention. It returns when ctx ends.
func (s *Service) Run(ctx context.Context) error {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for n := 0; ; n++ {
		s.transitions(ctx)
		if n%5 == 0 {
			if err := s.DB.PutNote(ctx, aliveKey, s.Now()); err != nil && ctx.Err() == nil {
				s.Log.Warn("keeping that the service listens", "err", err)
			}
		}
		if n%3600 == 60 {
			s.prune(ctx)
		}
		select {
		case <-ctx.Done():
			return s.DB.PutNote(context.WithoutCancel(ctx), aliveKey, s.Now())
		case <-second.C:
		}
	}
}

func (s *Service) prune(ctx context.Context) {
	const day = 24 * time.Hour
	gone, err := s.DB.Prune(ctx, sqlstore.Retention{Runs: 90 * day, Quiet: 7 * day, Events: 90 * day, Facets: 30 * day}, s.Now())
	if err != nil {
		s.Log.Warn("forgetting what is old", "err", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, digest := range gone {
		delete(s.known, digest)
	}
}

// transitions writes an event for each node whose presence changed.
func (s *Service) transitions(ctx context.Context) {
	now := s.Now()
	var events []report.Event
	s.mu.Lock()
	for name, n := range s.nodes {
		at := s.presence(n, now)
		if at == n.shown {
			continue
		}
		kind := map[report.Presence]string{report.Stale: "node.stale", report.Missing: "node.missing"}[at]
		if at == report.Live && (n.shown == report.Stale || n.shown == report.Missing) {
			kind = "node.back"
		}
		if kind != "" && n.shown != "" {
			events = append(events, report.Event{At: now.UTC(), Node: name, Kind: kind, Text: fmt.Sprintf("last seen %s", n.seen.UTC().Format(time.RFC3339))})
		}
		n.shown = at
	}
	s.mu.Unlock()
	if len(events) == 0 {
		return
	}
	if err := s.DB.PutEvents(ctx, events...); err != nil {
		s.Log.Warn("keeping events", "err", err)
	}
}

// presence is that of a node now. The time in which nobody listened does not count as silence.
func (s *Service) presence(n *node, now time.Time) report.Presence {
	if !n.Retired.IsZero() {
		return report.Retired
	}
	seen := n.seen
	if !seen.IsZero() && seen.Before(s.began) {
		seen = seen.Add(s.down)
	}
	return report.PresenceAt(now, seen, n.told)
}

// NodeKey implements api.Gate.
func (s *Service) NodeKey(name string) (ed25519.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.nodes[name]
	switch {
	case !ok:
		return nil, errUnknown
	case !n.Retired.IsZero():
		return nil, errRetired
	}
	return n.Key, nil
}

// Accept implements identity.Counters.
func (s *Service) Accept(name string, counter int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.nodes[name]
	if !ok {
		return errUnknown
	}
	if !n.window.Accept(counter) {
		return identity.ErrReplay
	}
	s.DB.PutHot(sqlstore.Hot{Node: name, Seen: n.seen, Told: n.told, Counter: counter})
	return nil
}
