package reporting

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/sqlstore"
)

// replica keeps a service in step with others that have the same store. Each has all nodes in memory, and takes over what
// the others have kept as soon as it is on disk.
type replica struct {
	feed  *sqlstore.Feed // nil: the store is of this service alone
	begun atomic.Int64   // looks at the feed
	term  atomic.Int64   // in which it leads; 0: it does not

	looking sync.Mutex // held while the feed is read and taken over
	err     error      // of the last look
	fed     time.Time  // when the last good look began; under the lock of the service
	parted  bool       // was not in step since the last tick; under the lock of the service
}

// follow takes over what others have kept, until ctx ends.
func (s *Service) follow(ctx context.Context) {
	if s.replica.feed == nil {
		return
	}
	defer s.replica.feed.Close()
	failing := false
	for ctx.Err() == nil {
		s.replica.feed.Wait(ctx)
		err := s.Refresh(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil && !failing:
			s.Log.Error("reading what the other services on the database have kept; it does not say so again until it works", "err", err, "hint", fault.Hints(err))
		case err == nil && failing:
			s.Log.Info("the database tells again what the other services have kept")
		}
		failing = err != nil
	}
}

// Refresh takes over what other services on the same store have kept until now. Who calls while another call has begun
// waits for a later one, so that any number of them look at the store twice. With a store of its own it does nothing.
func (s *Service) Refresh(ctx context.Context) error {
	r := &s.replica
	if r.feed == nil {
		return nil
	}
	asked := r.begun.Load()
	r.looking.Lock()
	defer r.looking.Unlock()
	if r.begun.Load() > asked {
		return r.err
	}
	r.begun.Add(1)
	at := s.Now()
	if r.err = s.catchUp(ctx); r.err != nil {
		return r.err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.fed = at
	return nil
}

// pruneFeed forgets what every service has read.
func (s *Service) pruneFeed(ctx context.Context) {
	if err := s.DB.PruneFeed(ctx, s.Now()); err != nil && ctx.Err() == nil {
		s.Log.Warn("forgetting what every service has read", "err", err)
	}
}

func (s *Service) catchUp(ctx context.Context) error {
	for {
		c, more, err := s.replica.feed.Read(ctx)
		if err != nil {
			return err
		}
		if err := s.takeOver(ctx, c); err != nil {
			return err
		}
		s.replica.feed.Done()
		if !more {
			return nil
		}
	}
}

// unknown is called when somebody is not known here, who may just have been made known to another service: it says whether it
// is worth to look again.
func (s *Service) unknown() bool {
	if s.replica.feed == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return s.Refresh(ctx) == nil
}
