package up

import (
	"context"
	"slices"

	"vigo.dev/pkg/api"
)

// Credential returns the token of an operator: old if that is still theirs, otherwise a new one. In a database, which other
// services may be on, it is a further one, and theirs go on to work; in a file of its own it takes the place of what was lost.
func (s *Stack) Credential(ctx context.Context, who api.Operator, old string) (string, error) {
	if old != "" {
		if known, err := s.reports.Operator(old); err == nil && known == who {
			return old, nil
		}
	}
	if s.Store != "" {
		known, err := s.reports.ListOperators(ctx)
		if err != nil {
			return "", err
		}
		if slices.Contains(known, who) {
			a, err := s.reports.CreateAccess(ctx, api.AccessToken{Operator: who.Name, Role: who.Role, Note: "of the service at " + s.Advertise, Created: s.Now().UTC()})
			return a.Token, err
		}
	}
	return s.reports.AddOperator(ctx, who)
}
