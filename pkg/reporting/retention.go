package reporting

import (
	"context"
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/sqlstore"
)

// Keep is for how long the service keeps what it was told, class by class.
type Keep struct {
	sqlstore.Retention
	// Audit is that of the log of who did what. What goes is named in a signed statement of where the log begins.
	Audit sqlstore.Limit
	// Retired is that of nodes that were retired; then all that was kept of them goes, but for the audit log.
	Retired sqlstore.Limit
}

// DefaultKeep is what is kept when nothing else is said. The bounds are for fleets that change all the time: with them, history
// and traits take at most about 2 GB each. That of one node is what one has that changes something each 30 s for two to seven days.
func DefaultKeep() Keep {
	const day = 24 * time.Hour
	return Keep{Retention: sqlstore.Retention{
		Runs:    sqlstore.Limit{Age: 90 * day, Rows: 2_000_000, Node: 5_000},
		Quiet:   sqlstore.Limit{Age: 7 * day, Rows: 2_000_000, Node: 5_000},
		Events:  sqlstore.Limit{Age: 90 * day, Rows: 2_000_000, Node: 5_000},
		History: sqlstore.Limit{Age: 90 * day, Rows: 5_000_000, Node: 20_000},
		Traits:  sqlstore.Limit{Age: 30 * day, Rows: 5_000_000, Node: 20_000},
		Facets:  time.Hour, // a node that has one again uploads it again
	}, Retired: sqlstore.Limit{Age: 30 * day, Rows: 200_000}}
}

// prune forgets what is past its time or beyond its bound. Only the leader does.
func (s *Service) prune(ctx context.Context) {
	s.pruneAudit(ctx)
	s.pruneAccess(ctx)
	s.forgetRetired(ctx)
	gone, err := s.DB.Prune(ctx, s.Keep.Retention, s.Now())
	if err != nil {
		s.Log.Warn("forgetting what is old", "err", err)
	}
	over, err := s.DB.PruneNodes(ctx, s.Keep.Retention, s.Now())
	if err != nil && ctx.Err() == nil {
		s.Log.Warn("forgetting what nodes have too much of", "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgot(gone)
	for _, name := range slices.Sorted(maps.Keys(over)) {
		s.tooMuch(name, overText(over[name]))
	}
}

// pruneAudit forgets entries that are older than they are to be kept, or beyond their bound, behind a signed statement of where
// the log begins now.
func (s *Service) pruneAudit(ctx context.Context) {
	err := func() error {
		now := s.Now()
		seq, hash, err := s.auditEnd(ctx, now)
		if err != nil || seq == 0 {
			return err
		}
		start, err := audit.Checkpoint{Fleet: s.Fleet, Seq: seq, Hash: hash, Time: now, Start: true}.Sign(s.CA)
		if err != nil {
			return err
		}
		return s.DB.PruneAudit(ctx, start, now)
	}()
	if err != nil {
		s.Log.Warn("forgetting old audit entries", "err", err)
	}
}

// auditEnd returns the newest entry that is to go; 0: none is.
func (s *Service) auditEnd(ctx context.Context, now time.Time) (seq int64, hash string, err error) {
	if age := s.Keep.Audit.Age; age > 0 {
		if seq, hash, err = s.DB.AuditBefore(ctx, now.Add(-age)); err != nil {
			return 0, "", err
		}
	}
	rows := s.Keep.Audit.Rows
	if rows <= 0 {
		return seq, hash, nil
	}
	beyond, its, err := s.DB.AuditBeyond(ctx, rows, rows/10)
	if err != nil || beyond <= seq {
		return seq, hash, err
	}
	return beyond, its, nil
}
