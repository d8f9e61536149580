// Package fleetsim simulates a fleet for a report service: nodes with keys, certificates, signatures and TLS connections
// of their own, that check in, change, fail and go silent, and the figures of how the service bears it.
//
// It refuses to converge anything, to speak another protocol than agents do, and to work at a service that has nodes other
// than the simulated ones, unless it is told to.
package fleetsim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// Config says what is simulated.
type Config struct {
	URL    string              // of the report service
	People *api.OperatorClient // an operator: makes the tokens, reads the status
	Dir    string              // keys and certificates, kept for the next time
	Prefix string              // of the names of the nodes
	Nodes  int
	// Interval is how often a node checks in; 0: as often as the service tells it.
	Interval time.Duration
	Duration time.Duration // of what is measured, after every node has been introduced
	Changes  float64       // share of the nodes whose packages change in an interval
	Failures float64       // share of the runs that fail
	Silent   int           // nodes that go silent at half time
	Dark     int           // nodes behind a hub of their own that goes dark with them at half time
	Hubs     int           // identities of hubs; 0: as many as the rate needs
	Shared   Sharing
	Others   bool // the service may have other nodes, too
	Channel  string
	Fates    Fates
	// Rollout ends what is measured as soon as a rollout that begins meanwhile has come to an end, or stands still.
	Rollout bool
	Version string // of this program
	Now     func() time.Time
	// Progress is told of every second; may be nil.
	Progress func(Progress)
	// Say is told what begins; may be nil.
	Say func(string)
}

// Sharing is whether nodes share connections.
type Sharing string

// The ways to connect.
const (
	Auto   Sharing = "auto" // own connections as far as this process may have so many open files
	Own    Sharing = "own"
	Shared Sharing = "shared" // through hubs, as nodes behind one
)

// Progress is one second of a simulation.
type Progress struct {
	Phase   string
	Elapsed time.Duration // since the phase began
	Of      time.Duration // what the phase takes, as far as that is known
	Done    int           // check-ins (nodes while they enrol) that were answered in this second
	Failed  int           // requests that were not answered, or with a refusal
	P99     time.Duration // of the check-ins of this second
	Behind  time.Duration // how late the last request was begun: this machine, not the service
}

// hubCapacity is how many requests a second of one hub a service takes; it counts them by the minute.
const hubCapacity = 1000

// A Sim is a simulated fleet.
type Sim struct {
	Config
	state *state
	hubs  []*hub
	nodes []*node
	told  time.Duration // the interval that the service tells
	tally tally
	bytes traffic
	docs  documents

	began    time.Time
	followed map[string]*followed // the pointers, by channel
	conds    conditions
	started  atomic.Pointer[time.Time] // when the rollout under way began; nil: none has
	over     chan struct{}             // closed when a rollout is over, if that is waited for
	ledger   ledger
	quiet    atomic.Int64 // nodes that went silent
	dark     *hub         // nil: none goes dark
	darkened context.Context
	darken   context.CancelFunc
}

// Run enrols what is not enrolled yet, introduces every node, and measures.
func Run(ctx context.Context, c Config) (_ Figures, err error) {
	s := &Sim{Config: c, began: c.Now(), followed: map[string]*followed{}, over: make(chan struct{})}
	s.darkened, s.darken = context.WithCancel(ctx)
	defer s.darken()
	if s.state, err = openState(c.Dir, c.Prefix); err != nil {
		return Figures{}, err
	}
	defer func() { err = errors.Join(err, s.state.close()) }()
	before, err := c.People.Status(ctx, 0)
	if err != nil {
		return Figures{}, err
	}
	if err := s.alone(before); err != nil {
		return Figures{}, err
	}
	if err := s.decide(before); err != nil {
		return Figures{}, err
	}
	if err := s.enrol(ctx); err != nil {
		return Figures{}, err
	}
	if err := s.connect(ctx, before); err != nil {
		return Figures{}, err
	}
	defer s.disconnect()
	return s.simulate(ctx)
}

// alone refuses to disturb a fleet that is real.
func (s *Sim) alone(st report.Status) error {
	others := st.Presences.Total - len(s.state.nodes)
	if others <= 0 || s.Others {
		return nil
	}
	return fault.WithHint(fmt.Errorf("simulating a fleet: the service has %d nodes that are not simulated here", others),
		"measure a service of its own; --among-others simulates beside them: they would share its figures, its rollouts and its limits")
}

// decide finds out how the nodes connect, and through how many hubs.
func (s *Sim) decide(st report.Status) error {
	for _, c := range st.Channels {
		if (c.Channel == s.Channel || s.Channel == "") && c.Interval > 0 {
			s.told = c.Interval
		}
	}
	if s.told == 0 {
		s.told = 30 * time.Second
	}
	if s.Interval == 0 {
		s.Interval = s.told
	}
	open, err := openFiles()
	if err != nil {
		return err
	}
	fits := s.Nodes <= open-reserve
	switch {
	case s.Shared == Own && !fits:
		return fault.WithHint(fmt.Errorf("simulating a fleet: %d nodes want a connection each, and this process may open %d files", s.Nodes, open),
			"raise the limit of the shell (ulimit -n), or use --connections shared")
	case s.Shared == Auto && fits:
		s.Shared = Own
	case s.Shared == Auto:
		s.Shared = Shared
	}
	rate := float64(s.Nodes) / s.Interval.Seconds() * (1 + 2*s.Changes + s.Failures)
	need := int(rate*1.3/hubCapacity) + 1 // 1.3: the introduction, and a minute that catches up
	if s.Hubs == 0 {
		s.Hubs = need
	}
	if s.Shared == Shared && s.Hubs < int(rate/hubCapacity)+1 {
		return fault.WithHint(fmt.Errorf("simulating a fleet: %.0f requests a second are more than the service takes of %d hubs", rate, s.Hubs),
			fmt.Sprintf("give --hubs %d, or none", need))
	}
	return nil
}

// connect makes the nodes and how they reach the service.
func (s *Sim) connect(ctx context.Context, st report.Status) error {
	note := report.ChannelNote{}
	for _, c := range st.Channels {
		if c.Channel == s.Channel || s.Channel == "" {
			note = c.ChannelNote
		}
	}
	start := s.Now().UnixMilli()
	for i := range s.Nodes {
		kept := s.state.nodes[s.nameOf(i)]
		key, err := identity.ParseNodeKey([]byte(kept.Key))
		if err != nil {
			return fmt.Errorf("reading the key of %s: %w", s.nameOf(i), err)
		}
		n := &node{name: s.nameOf(i), index: i, key: key, channel: kept.Channel, note: note}
		if n.follows, err = s.follow(ctx, kept.Channel); err != nil {
			return err
		}
		n.agent = s.agentOf(n, kept.Labels)
		n.count.Store(start)
		switch {
		case s.behindDark(i):
			n.dark, n.link = true, &relayed{hub: s.dark, node: n, now: s.Now}
		case s.Shared == Own:
			n.link, err = s.ownLink(n, kept)
		default:
			n.link = &relayed{hub: s.hubs[i%len(s.hubs)], node: n, now: s.Now}
		}
		if err != nil {
			return err
		}
		s.nodes = append(s.nodes, n)
	}
	// By chance, as in a simulation of a rollout, and not in the order of their names, which a database would like better than that
	// of a real fleet.
	slices.SortFunc(s.nodes, func(a, b *node) int { return cmp.Compare(a.agent.Fate.Phase, b.agent.Fate.Phase) })
	return nil
}

func (s *Sim) disconnect() {
	for _, n := range s.nodes {
		n.link.Close()
	}
	for _, h := range s.hubs {
		h.client.Close()
	}
	if s.dark != nil {
		s.dark.client.Close()
	}
}

func (s *Sim) nameOf(i int) string { return fmt.Sprintf("%s-%06d", s.Prefix, i) }

func (s *Sim) say(format string, args ...any) {
	if s.Say != nil {
		s.Say(fmt.Sprintf(format, args...))
	}
}
