package reporting

import (
	"context"
	"slices"
	"strings"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/sqlstore"
)

// AddOperator implements api.Staff. It keeps the hash of the token only.
func (s *Service) AddOperator(ctx context.Context, who api.Operator) (string, error) {
	secret, err := identity.NewSecret(s.CA.Fingerprint(), true)
	if err != nil {
		return "", err
	}
	now := s.Now().UTC()
	o := sqlstore.Operator{ID: secret.ID, Hash: secret.Hash(), Name: who.Name, Role: who.Role, Kind: sqlstore.KindOperator, Created: now}
	if err := s.DB.PutOperator(ctx, o, now); err != nil {
		return "", kept(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operators = append(slices.DeleteFunc(s.operators, named(who.Name)), o)
	return secret.Text(), nil
}

func named(name string) func(sqlstore.Operator) bool {
	return func(o sqlstore.Operator) bool { return o.Name == name }
}

// ListOperators implements api.Staff.
func (s *Service) ListOperators(context.Context) ([]api.Operator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]api.Operator, 0, len(s.operators))
	for _, o := range s.operators {
		if o.Kind == sqlstore.KindOperator {
			list = append(list, api.Operator{Name: o.Name, Role: o.Role})
		}
	}
	slices.SortFunc(list, func(a, b api.Operator) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// RemoveOperator implements api.Staff.
func (s *Service) RemoveOperator(ctx context.Context, name string) error {
	if err := s.DB.RemoveOperator(ctx, name, s.Now()); err != nil {
		return kept(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operators = slices.DeleteFunc(s.operators, named(name))
	return nil
}
