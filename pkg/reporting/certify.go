package reporting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/hook"
	"vigo.dev/pkg/identity"
)

// certify answers the certificate request of a node: who asks has been found good, now the site is asked, and then the
// authority signs. It returns the chain and when the certificate ends.
func (s *Service) certify(ctx context.Context, r hook.Request, now time.Time) (chain []byte, expires time.Time, err error) {
	csr, key, err := identity.ParseCSR([]byte(r.CSR))
	if err != nil {
		return nil, time.Time{}, err
	}
	if csr.Subject.CommonName != r.Node {
		return nil, time.Time{}, fmt.Errorf("the request is for %q, not for %q: %w", csr.Subject.CommonName, r.Node, identity.ErrCSR)
	}
	r.Fleet, r.Key, r.Time, r.Address = s.Fleet, identity.KeyID(key), now.UTC(), audit.CallerOf(ctx).Address
	if err := s.approve(ctx, r); err != nil {
		return nil, time.Time{}, err
	}
	if chain, _, err = s.CA.IssueClient([]byte(r.CSR), identity.Client{Role: r.Role, Name: r.Node}, now); err != nil {
		return nil, time.Time{}, err
	}
	expires, err = expiryOf(chain)
	return chain, expires, err
}

// approve asks the program of the site, if there is one.
func (s *Service) approve(ctx context.Context, r hook.Request) error {
	if s.Approve == nil {
		return nil
	}
	err := s.Approve(ctx, r)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hook.ErrRefused):
		s.Log.Info("a certificate was not approved", "operation", r.Operation, "node", r.Node, "err", err)
		return api.Refuse(api.ErrNotApproved, "%s: %s", r.Node, err)
	}
	return fmt.Errorf("%w: %w", api.ErrApproval, err)
}
