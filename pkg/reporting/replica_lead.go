package reporting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
)

// authorityKey is the note of the authority whose certificates the services on a database serve with.
const authorityKey = "authority"

// join makes sure that a service belongs to the others on its database, and takes over since when they have listened.
func (s *Service) join(ctx context.Context) error {
	leads, err := s.lead(ctx)
	if err != nil {
		return err
	}
	if s.replica.feed != nil {
		if err := s.sameAuthority(ctx); err != nil {
			return err
		}
	}
	var last alive
	if err := s.DB.Note(ctx, aliveKey, &last); errors.Is(err, sqlstore.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if !leads && s.began.Sub(last.At) <= pause { // somebody listens: the fleet was not unheard
		s.hearing = hearing{back: last.Back, down: last.Down}
		return nil
	}
	s.hearing = last.resume(s.began, s.longest())
	return nil
}

// sameAuthority refuses an authority that is not that of the others: nodes would be turned away by every second connection.
func (s *Service) sameAuthority(ctx context.Context) error {
	mine := s.CA.Fingerprint()
	var theirs string
	switch err := s.DB.Note(ctx, authorityKey, &theirs); {
	case errors.Is(err, sqlstore.ErrNotFound):
		return s.DB.PutNote(ctx, authorityKey, mine)
	case err != nil:
		return err
	case theirs != mine:
		return fault.WithHint(fmt.Errorf("the database is that of services with the authority %.16s, this one has %.16s", theirs, mine),
			"give this service a copy of the folder ca in the data folder of the others, or a database of its own")
	}
	return nil
}

// lead finds out whether this service leads; one that does so from now on learns what was told of presences before.
func (s *Service) lead(ctx context.Context) (bool, error) {
	term, err := s.DB.Lead(ctx)
	if err == nil && term > 0 && term != s.replica.term.Load() {
		err = s.takeLead(ctx)
	}
	if ctx.Err() != nil { // it ends, and is what it was until then
		return s.Leads(), err
	}
	if err != nil {
		term = 0
	}
	s.replica.term.Store(term)
	return s.Leads(), err
}

func (s *Service) takeLead(ctx context.Context) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	silences, err := s.DB.Silences(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agenda.all = true
	for name, n := range s.nodes {
		n.shown = silences[name]
		if n.shown == "" {
			n.shown = report.Live // or never heard of: nothing was told
		}
	}
	if s.replica.feed != nil {
		s.Log.Info("this service leads those on the database: it writes what happens to the presence of nodes, and forgets what is old")
	}
	return nil
}

// Leads reports whether this is the one service on its store that does what must be done once: with a store of its own, it is.
func (s *Service) Leads() bool { return s.replica.term.Load() > 0 }

// apart is how long the feed may not be read before what others hear counts as unknown: twice the time in which it is polled,
// and less than the silence after which a node is stale at the shortest interval.
const apart = 2 * time.Second

// inStep reports whether what others have kept is known here. The caller holds the lock.
func (s *Service) inStep(now time.Time) bool {
	return s.replica.feed == nil || now.Sub(s.replica.fed) <= apart
}

// hearsOthers is inStep with the patience of a balancer.
func (s *Service) hearsOthers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replica.feed == nil || s.Now().Sub(s.replica.fed) <= pause
}
