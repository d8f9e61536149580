package reporting

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/sqlstore"
)

var _ api.Certificates = (*Service)(nil)

// CertificateHolder implements api.Certificates. The connection has verified that the authority signed the certificate and
// that who shows it has the key; this says whose key it is, and what they may do now.
func (s *Service) CertificateHolder(cert *x509.Certificate) (api.AccessToken, error) {
	o, err := s.certificateOf(cert)
	if err != nil {
		return api.AccessToken{}, err
	}
	s.use(o.ID)
	return s.accessOf(o), nil
}

func (s *Service) certificateOf(cert *x509.Certificate) (sqlstore.Operator, error) {
	peer, err := identity.PeerOf(cert)
	if err != nil {
		return sqlstore.Operator{}, api.ErrRevoked
	}
	hash, err := identity.KeyHash(cert)
	if err != nil {
		return sqlstore.Operator{}, err
	}
	o, err := s.certificateHolder(peer.Name, hash, cert)
	if errors.Is(err, errNobody) && s.unknown() {
		o, err = s.certificateHolder(peer.Name, hash, cert)
	}
	if errors.Is(err, errNobody) {
		return o, api.Refuse(api.ErrRevoked, "the certificate of %s is revoked, or was not issued by this service", peer.Name)
	}
	return o, err
}

func (s *Service) certificateHolder(name string, hash []byte, cert *x509.Certificate) (sqlstore.Operator, error) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.operators {
		if o.Kind != sqlstore.KindCertificate || o.Name != name || !bytes.Equal(o.Hash, hash) {
			continue
		}
		if identity.Expired(cert, now) || !now.Before(o.Expires) { // also on a connection that was opened before
			refused := api.Refuse(api.ErrUnauthorized, "the certificate of %s has expired on %s", o.Name, cert.NotAfter.UTC().Format(time.RFC3339))
			refused.Advice = "an admin makes a new one: `vigo operator certificate create`"
			return sqlstore.Operator{}, refused
		}
		return o, nil
	}
	return sqlstore.Operator{}, errNobody
}

// IssueCertificate implements api.Certificates.
func (s *Service) IssueCertificate(ctx context.Context, t api.AccessToken, csr string, enlist bool) (api.CertificateAnswer, error) {
	r, err := identity.ParseOperatorRequest([]byte(csr))
	if err != nil {
		return api.CertificateAnswer{}, err
	}
	secret, err := identity.NewSecret(s.CA.Fingerprint(), true)
	if err != nil {
		return api.CertificateAnswer{}, err
	}
	o := sqlstore.Operator{ID: secret.ID, Name: t.Operator, Role: t.Role, Kind: sqlstore.KindCertificate, Note: t.Note, Created: t.Created}
	if o.Hash, err = r.KeyHash(); err != nil {
		return api.CertificateAnswer{}, err
	}
	chain, err := s.sign(r, &o, t.Expires.Sub(t.Created))
	if err != nil {
		return api.CertificateAnswer{}, err
	}
	before := s.operatorToken(o.Name)
	var fresh []sqlstore.Operator
	if enlist { // its token is seen by nobody: `vigo operator create` gives one
		token, err := identity.NewSecret(s.CA.Fingerprint(), true)
		if err != nil {
			return api.CertificateAnswer{}, err
		}
		before = token.ID
		fresh = append(fresh, sqlstore.Operator{ID: token.ID, Hash: token.Hash(), Name: o.Name, Role: o.Role, Kind: sqlstore.KindOperator, Created: o.Created})
		err = s.DB.AddCertificate(ctx, o, &fresh[0])
		if err != nil {
			return api.CertificateAnswer{}, notCertified(o, err)
		}
	} else if err := s.DB.AddCertificate(ctx, o, nil); err != nil {
		return api.CertificateAnswer{}, notCertified(o, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operators = append(s.operators, fresh...)
	if s.operatorTokenLocked(o.Name) != before {
		return api.CertificateAnswer{}, api.Refuse(api.ErrNotFound, "operator %s was changed or removed in this moment", o.Name)
	}
	s.operators = append(s.operators, o)
	return api.CertificateAnswer{AccessToken: s.accessOf(o), Certificate: string(chain)}, nil
}

// sign has the authority sign, and says in o until when: as the certificate does, and not longer than was asked for.
func (s *Service) sign(r identity.OperatorRequest, o *sqlstore.Operator, life time.Duration) ([]byte, error) {
	chain, err := s.CA.IssueOperator(r, identity.Client{Role: o.Role, Name: o.Name, Life: life}, o.Created)
	if err != nil {
		return nil, err
	}
	o.Expires = o.Created.Add(life)
	ends, err := expiryOf(chain)
	if err != nil {
		return nil, err
	}
	if ends.Before(o.Expires) {
		o.Expires = ends
	}
	return chain, nil
}

// notCertified says what an error of the store means for who asks.
func notCertified(o sqlstore.Operator, err error) error {
	if errors.Is(err, sqlstore.ErrTaken) {
		refused := api.Refuse(api.ErrBadRequest, "operator %s, or this key, has a certificate already", o.Name)
		refused.Advice = "one key, one certificate: make another key, or `vigo operator certificate renew`"
		return refused
	}
	return kept(err)
}

// RenewCertificate implements api.Certificates.
func (s *Service) RenewCertificate(ctx context.Context, t api.AccessToken, csr string) (api.CertificateAnswer, error) {
	r, err := identity.ParseOperatorRequest([]byte(csr))
	if err != nil {
		return api.CertificateAnswer{}, err
	}
	hash, err := r.KeyHash()
	if err != nil {
		return api.CertificateAnswer{}, err
	}
	o, err := s.certificateByID(t.ID)
	if err != nil {
		return api.CertificateAnswer{}, err
	}
	if !bytes.Equal(hash, o.Hash) {
		return api.CertificateAnswer{}, fmt.Errorf("the request is for another key than the certificate: %w", identity.ErrCSR)
	}
	life := o.Expires.Sub(o.Created)
	o.Created = s.Now().UTC()
	chain, err := s.sign(r, &o, life)
	if err != nil {
		return api.CertificateAnswer{}, err
	}
	if err := s.DB.RenewCertificate(ctx, o); err != nil {
		return api.CertificateAnswer{}, kept(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, known := range s.operators {
		if known.ID == o.ID {
			s.operators[i].Created, s.operators[i].Expires = o.Created, o.Expires
		}
	}
	return api.CertificateAnswer{AccessToken: s.accessOf(o), Certificate: string(chain)}, nil
}

func (s *Service) certificateByID(id string) (sqlstore.Operator, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.operators {
		if o.ID == id && o.Kind == sqlstore.KindCertificate {
			return o, nil
		}
	}
	return sqlstore.Operator{}, api.ErrRevoked
}
