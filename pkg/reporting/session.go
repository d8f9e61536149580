package reporting

import (
	"context"
	"slices"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/sqlstore"
)

// The limits of sessions of browsers.
const (
	sessionLife = 12 * time.Hour
	maxSessions = 50 // that one token has open at once
)

// OpenSession makes a token of its own for a browser of who holds a token: of the same role, for some hours, never longer
// than that token, and useless as soon as that is revoked. [api.ErrUnauthorized]; [api.ErrForbidden] for who may not read.
func (s *Service) OpenSession(ctx context.Context, token string) (api.AccessAnswer, error) {
	o, err := s.holder(token)
	if err != nil {
		return api.AccessAnswer{}, err
	}
	switch {
	case o.Kind == sqlstore.KindSession:
		return api.AccessAnswer{}, api.Refuse(api.ErrForbidden, "this is a session already; log in with a token")
	case o.Role == identity.RolePublisher:
		return api.AccessAnswer{}, api.Refuse(api.ErrForbidden, "%s is a %s; the dashboard needs viewer", o.Name, o.Role)
	}
	now := s.Now().UTC()
	expires := now.Add(sessionLife)
	if !o.Expires.IsZero() && o.Expires.Before(expires) {
		expires = o.Expires
	}
	if s.sessions(o.ID, now) >= maxSessions {
		return api.AccessAnswer{}, api.Refuse(api.ErrTooMany, "%s has %d sessions open with this token", o.Name, maxSessions)
	}
	audit.Know(ctx, o.Name, string(o.Role))
	return s.addAccess(ctx, api.AccessToken{Operator: o.Name, Role: o.Role, Kind: sqlstore.KindSession, Note: o.ID, Created: now, Expires: expires})
}

// sessions counts those that were opened with a token and are valid.
func (s *Service) sessions(id string, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, o := range s.operators {
		if o.Kind == sqlstore.KindSession && o.Note == id && now.Before(o.Expires) {
			n++
		}
	}
	return n
}

// lives is whether a token is still good. The caller holds the lock.
func (s *Service) lives(id string, now time.Time) bool {
	return slices.ContainsFunc(s.operators, func(o sqlstore.Operator) bool {
		return o.ID == id && (o.Expires.IsZero() || now.Before(o.Expires))
	})
}
