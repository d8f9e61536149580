package reporting

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// Which traits nodes have is most of what the store holds of a large fleet, and nobody who checks in needs it at once: a service of
// many nodes answers before it has read that. Until then it asks nobody for documents, and says that answers may miss nodes.

// untold is what a service has not read since its start. It is under the lock of the service.
type untold struct {
	nodes int      // whose traits are not known here
	gone  []string // digests that were forgotten meanwhile
	// forgets is how often documents were forgotten. A node whose documents are all here need not be asked for any until it says
	// other traits, or some were forgotten since; then its settled is one more than this.
	forgets uint64
}

// atTheDoor is how many nodes a service may have to read all of them before it answers.
const atTheDoor = 5000

// loadNodes reads the nodes and what they said last.
func (s *Service) loadNodes(ctx context.Context) error {
	list, err := s.DB.Nodes(ctx)
	if err != nil {
		return err
	}
	hot, err := s.DB.LastHeard(ctx)
	if err != nil {
		return err
	}
	loaded := make([]*node, len(list))
	group := errgroup.Group{}
	for at := range slices.Chunk(indexes(len(list)), len(list)/runtime.GOMAXPROCS(0)+1) {
		group.Go(func() error {
			for _, i := range at {
				n := list[i]
				loaded[i] = &node{Node: n, told: s.interval(n.Channel), account: account{State: report.ComplianceNever}}
				if h, ok := hot[n.Name]; ok {
					if err := loaded[i].load(h); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, n := range loaded {
		n.sharesWith(loaded[max(0, i-1)])
		s.share(n, &n.account.Last)
		// Those that are kept since long are written anew one after the other, and not all with the next check-in.
		if n.written = n.account.Heard; s.began.Sub(n.written) > rewrite {
			n.written = s.began.Add(-rewrite * time.Duration(i) / time.Duration(len(loaded)))
		}
		n.unread = true
		s.untold.nodes++
		s.enter(n)
		s.indexed(n)
	}
	if len(loaded) > atTheDoor {
		return nil
	}
	return s.readTraits(ctx, false)
}

func indexes(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// load takes over what is kept of the last check-in.
func (n *node) load(h sqlstore.Hot) error {
	n.seen, n.told = h.Seen, h.Told
	n.window = identity.NewWindow(h.Counter)
	if len(h.Doc) > 0 {
		if err := json.Unmarshal(h.Doc, &n.account); err != nil {
			return fmt.Errorf("reading what %s said last: %w", n.Name, err)
		}
	}
	return nil
}

// describe takes note of the traits of a node. The caller holds the lock.
func (s *Service) describe(n *node, facets map[string]string) {
	if n.unread {
		n.unread = false
		s.untold.nodes--
	}
	n.facets, n.settled = facets, 0
	s.indexed(n)
}

// readTraits reads what was left at the start. With easy, others have their turn between.
func (s *Service) readTraits(ctx context.Context, easy bool) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.mu.Lock()
	left := s.untold.nodes
	s.mu.Unlock()
	if left == 0 {
		return nil
	}
	known, err := s.DB.FacetDigests(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	maps.Copy(known, s.known)
	for _, digest := range s.untold.gone {
		delete(known, digest)
	}
	s.known, s.untold.gone = known, nil
	s.mu.Unlock()
	r := traitReader{s: s, ctx: ctx, easy: easy, began: time.Now()}
	if err := s.DB.EachFacets(ctx, r.take); err != nil {
		return err
	}
	r.apply()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.nodes { // who has told none
		n.unread = false
	}
	s.untold = untold{forgets: s.untold.forgets}
	return nil
}

// traitReader takes over the traits of some nodes at once.
type traitReader struct {
	s     *Service
	ctx   context.Context //nolint:containedctx // of one call
	easy  bool
	began time.Time
	some  []sqlstore.Hot
}

func (r *traitReader) take(name string, facets map[string]string) error {
	if r.some = append(r.some, sqlstore.Hot{Node: name, Facets: facets}); len(r.some) == atOnce {
		r.apply()
		r.s.ease(r.ctx, r.easy, &r.began)
	}
	return r.ctx.Err()
}

func (r *traitReader) apply() {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, h := range r.some {
		if n, ok := r.s.nodes[h.Node]; ok && n.unread { // who has checked in since has told
			r.s.describe(n, h.Facets)
		}
	}
	r.some = r.some[:0]
}

// ease rests, if it is to be so, twice as long as it has worked: those that come back after a start go first.
func (s *Service) ease(ctx context.Context, easy bool, began *time.Time) {
	if easy {
		select {
		case <-time.After(min(2*time.Since(*began), time.Second)):
		case <-ctx.Done():
		}
	}
	*began = time.Now()
}

// traitDigests are those of a node.
func (s *Service) traitDigests(ctx context.Context, name string) (map[string]string, error) {
	s.mu.Lock()
	n, ok := s.nodes[name]
	if !ok || !n.unread {
		defer s.mu.Unlock()
		if !ok {
			return nil, nil
		}
		return maps.Clone(n.facets), nil
	}
	s.mu.Unlock()
	kept, err := s.DB.HotOf(ctx, []string{name}, []string{name})
	return kept[name].Facets, err
}

// share has what many check-ins say take memory once. The caller holds the lock, or has the service to itself.
func (s *Service) share(n *node, c *report.CheckIn) {
	last, note := &n.account.Last, s.channels[s.channelOf(n)]
	c.Node = n.Name
	c.Agent = sameText(c.Agent, last.Agent, s.agent)
	s.agent = c.Agent
	c.Channel = sameText(c.Channel, note.Channel, last.Channel)
	c.Pointer = sameText(c.Pointer, note.Pointer, last.Pointer)
	c.Bundle = sameText(c.Bundle, note.Digest, last.Bundle)
	c.Boot, c.Traits = sameText(c.Boot, last.Boot), sameText(c.Traits, last.Traits)
	if hub, ok := s.nodes[c.Hub]; ok {
		c.Hub = hub.Name
	}
}

// sharesWith has what the token of two nodes says of them take memory once.
func (n *node) sharesWith(other *node) {
	if n.Token == other.Token && n.Channel == other.Channel && maps.Equal(n.Labels, other.Labels) {
		n.Token, n.Channel, n.Labels = other.Token, other.Channel, other.Labels
	}
}

// sameText returns the one of several that is equal to a text, or the text.
func sameText(text string, known ...string) string {
	for _, k := range known {
		if k == text {
			return k
		}
	}
	return text
}
