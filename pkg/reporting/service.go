// Package reporting is the report service: it takes what nodes say, knows who is silent and who is not as declared, and
// answers people.
//
// It refuses to hold policy signing keys, to decide what nodes run, and to acknowledge a run, an enrolment or a token
// before it is on disk.
package reporting

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/api"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/hook"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/inventory"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// Config is what a service is made of.
type Config struct {
	DB        *sqlstore.DB // closed by the caller, after Run has returned
	CA        *identity.CA
	Fleet     string
	Channel   string        // of nodes whose token names none
	Interval  time.Duration // nodes are told; 0: what their channel's policy says
	Registry  []string      // references nodes are told to pull from
	TrustRoot []byte        // root document nodes pin
	Schema    *expr.Schema  // of traits, for queries and alerts; nil: none is known
	// Anchor is a file beside the store that holds the newest audit checkpoint, so that a store that was cut shows at the next
	// start; "": none.
	Anchor string
	// Approve says whether the site wants a certificate to be issued, hook.ErrRefused if not; nil: it does.
	Approve func(context.Context, hook.Request) error
	// Joined is told when a node has joined; it must not block. nil: nobody is told.
	Joined func()
	// OIDC lets people in who an identity provider vouches for; nil: nobody is.
	OIDC LoginVerifier
	// Keep is for how long what it was told is kept; the zero value: [DefaultKeep].
	Keep Keep
	// RetireAfter is how long a node may not be heard of before it is retired, if its token does not say; 0: as long as it likes.
	RetireAfter time.Duration
	// Alerts sends what people are told, until [Service.UseReceivers] names others; nil: nobody is.
	Alerts *deliver.Service
	// Examine looks at the data folder and the store, for people far away; nil: nobody can.
	Examine func(context.Context) report.Diagnosis
	Log     *slog.Logger
	Now     func() time.Time
}

// A Service is the report service. Its state of nodes is in memory, and on disk within the flush interval of the store.
type Service struct {
	Config
	metrics     *metrics
	limits      limits
	away        turnedAway
	auditor     auditor
	uses        uses
	replica     replica
	alerts      alerting
	rollouts    rollouts
	leases      leases
	controlDocs controlDocs
	examiner    examiner
	upkeep      upkeep    // under mu
	labelling   labelling // under mu

	mu          sync.Mutex
	nodes       map[string]*node
	entered     []*node // all of them, and nil where one has left, see [Service.eachNode]
	vacant      []int   // places of those that have left
	operators   []sqlstore.Operator
	channels    map[string]report.ChannelNote
	commits     map[string]string // bundle digest to commit
	known       map[string]bool   // facet digests that are kept
	untold      untold
	agent       string // version that was heard of last
	newest      *node  // that has enrolled; nil: none since the start
	index       *inventory.Index
	quarantined map[string]alert.Quarantined
	unread      []inventory.Document // for the index, to be read from the store
	began       time.Time
	restored    sqlstore.Restored // never changed after New
	hearing     hearing
	agenda      agenda
	rate        rate

	noting  sync.Mutex // held while the notes of channels are replaced
	reading sync.Mutex // held while traits are read that were left at the start
}

// node is what the service knows of one node.
type node struct {
	sqlstore.Node
	seen      time.Time
	told      time.Duration
	window    identity.Window
	facets    map[string]string // trait name to digest
	unread    bool              // facets are in the store, see [untold]
	settled   uint64            // see [untold.forgets]
	shown     report.Presence   // as last written to the events; among those that are not silent, any
	place     int               // in the order of the service
	due       int64             // when it is looked at, see [agenda]; 0: it is not
	news      []report.Event    // to be written with the check-in
	refused   budget            // of events of refusals
	documents budget            // of bytes
	added     int64             // to what is kept, since its share was looked at
	written   time.Time         // when the account was given to the store last
	account   account
	covered   covered
	labels    map[string]string // of its enrolment and of the policy, see [labelling]; set by [Service.indexed]
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
	Failed  map[string]string `json:"failed,omitempty"` // resource to outcome, of the last run that was reported whole; skipped ones if they serve a control
	Whole   time.Time         `json:"whole,omitzero"`   // start of the run that Failed and Reason are of
	Ahead   time.Time         `json:"ahead,omitzero"`   // since when it has a pointer the service was not told of
	Heard   time.Time         `json:"heard,omitzero"`   // its own last check-in, not the word of a hub
	Wish    wish              `json:"wish,omitzero"`
	Excess  excess            `json:"excess,omitzero"`
	Report  report.HubReport  `json:"report,omitzero"` // of a hub: its last one, without sightings
}

// defaultInterval is what nodes are told when neither the configuration nor a policy has said anything.
const defaultInterval = 30 * time.Second

// interval is what the nodes of a channel are told. The caller holds the lock.
func (s *Service) interval(channel string) time.Duration {
	return cmp.Or(s.Interval, s.channels[cmp.Or(channel, s.Channel)].Interval, defaultInterval)
}

// longest is the longest interval any node is told. The caller holds the lock.
func (s *Service) longest() time.Duration {
	longest := s.interval("")
	for name := range s.channels {
		longest = max(longest, s.interval(name))
	}
	return longest
}

const (
	aliveKey    = "alive"
	channelsKey = "channels"
)

// New loads what the store holds.
func New(ctx context.Context, c Config) (*Service, error) {
	if c.Schema == nil {
		c.Schema = expr.NewSchema()
	}
	if c.Keep == (Keep{}) {
		c.Keep = DefaultKeep()
	}
	s := &Service{Config: c, nodes: map[string]*node{}, channels: map[string]report.ChannelNote{}, commits: map[string]string{}, known: map[string]bool{}, index: inventory.New(), began: c.Now()}
	s.examiner.wanted = make(chan struct{}, 1)
	s.metrics = newMetrics(s)
	var err error
	if s.replica.feed, err = c.DB.Feed(ctx); err != nil { // before anything is read, so that nothing falls between
		return nil, err
	}
	s.replica.fed = s.began
	if err := c.DB.Note(ctx, sqlstore.RestoredKey, &s.restored); err != nil && !errors.Is(err, sqlstore.ErrNotFound) {
		return nil, err
	}
	if err := errors.Join(s.loadNotes(ctx), s.loadNodes(ctx), s.join(ctx)); err != nil {
		return nil, fmt.Errorf("loading the report service: %w", err)
	}
	if s.operators, err = c.DB.Operators(ctx); err != nil {
		return nil, err
	}
	if err := s.beginAlerts(ctx); err != nil {
		return nil, fmt.Errorf("loading the alerts: %w", err)
	}
	if err := s.beginAudit(ctx); err != nil {
		return nil, fmt.Errorf("loading the audit log: %w", err)
	}
	return s, nil
}

func (s *Service) loadNotes(ctx context.Context) error {
	if err := s.DB.Note(ctx, channelsKey, &s.channels); err != nil && !errors.Is(err, sqlstore.ErrNotFound) {
		return err
	}
	for _, c := range s.channels {
		s.commits[c.Digest] = c.Commit
	}
	told, err := s.readGrants(ctx)
	s.labelling.use(told)
	return err
}

// Run does what nobody asks for: presence events, the mark that the service listens, retention. It returns when ctx ends.
func (s *Service) Run(ctx context.Context) error {
	s.listens()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var reading sync.WaitGroup
	defer reading.Wait()
	listening := ctx
	reading.Go(func() { s.keepIndex(listening) })
	reading.Go(func() { s.follow(listening) })
	reading.Go(func() { s.keepAlerts(listening) })
	reading.Go(func() { s.keepHistory(listening) })
	reading.Go(func() { s.keepTelling(listening) })
	reading.Go(func() { s.keepRollouts(listening) })
	reading.Go(func() { s.keepLeases(listening) })
	reading.Go(func() { s.keepExamining(listening) })
	keeps := true
	for n := 0; ; n++ {
		s.Tick(ctx)
		leads := s.Leads()
		s.tendAudit(ctx, leads && n%60 == 59)
		if n%60 == 59 {
			s.keepUses(ctx)
		}
		if leads && n%5 == 0 {
			err := s.markAlive(ctx)
			s.tellStore(err, &keeps, ctx.Err() != nil)
		}
		if leads && n%3600 == 60 {
			s.prune(ctx)
		}
		if leads && n%60 == 45 {
			s.retireSilent(ctx)
		}
		if leads && n%60 == 30 {
			s.pruneFeed(ctx)
		}
		s.second(ctx, look.C)
		select {
		case <-ctx.Done():
			ctx = context.WithoutCancel(ctx)
			s.tendAudit(ctx, true)
			s.keepUses(ctx)
			if !s.Leads() {
				return nil
			}
			return s.markAlive(ctx)
		default:
		}
	}
}

// markAlive keeps until when the service has listened.
func (s *Service) markAlive(ctx context.Context) error {
	s.mu.Lock()
	mark := alive{At: s.Now(), Back: s.hearing.back, Down: s.hearing.down}
	s.mu.Unlock()
	if err := s.DB.PutNote(ctx, aliveKey, mark); err != nil {
		return fmt.Errorf("keeping that the service listens: %w", err)
	}
	return nil
}

// NodeKey implements api.Gate.
func (s *Service) NodeKey(name string) (ed25519.PublicKey, error) {
	key, err := s.nodeKey(name)
	if errors.Is(err, api.ErrUnknownNode) && s.unknown() {
		return s.nodeKey(name)
	}
	return key, err
}

func (s *Service) nodeKey(name string) (ed25519.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.active(name)
	if err != nil {
		return nil, err
	}
	return n.Key, nil
}

// active returns a node that is enrolled and not retired; the caller holds the lock.
func (s *Service) active(name string) (*node, error) {
	n, ok := s.nodes[name]
	switch {
	case !ok:
		return nil, api.ErrUnknownNode
	case !n.Retired.IsZero():
		return nil, api.ErrRetired
	}
	return n, nil
}

// Forgot implements identity.Forgetful: what nodes signed before the store was restored may have been answered before.
func (s *Service) Forgot() time.Time { return s.restored.At }

// Accept implements identity.Counters.
func (s *Service) Accept(name string, counter int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.active(name)
	if err != nil {
		return err
	}
	if !n.window.Accept(counter) {
		return identity.ErrReplay
	}
	s.DB.PutHot(sqlstore.Hot{Node: name, Seen: n.seen, Told: n.told, Counter: counter})
	return nil
}
