package up

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"path/filepath"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore/registry"
)

// RegistryConfig says who may pull from the embedded registry and how much it may hold.
type RegistryConfig struct {
	Anyone    bool  // whoever reaches it may pull, not the fleet alone
	Quota     int64 // bytes; 0: as many as the disk has
	MaxUpload int64 // bytes of one blob; 0: those of the largest layer there may be
}

// openEmbedded opens the embedded registry.
func (s *Stack) openEmbedded() (err error) {
	s.registry, err = registry.New(registry.Options{
		Dir: filepath.Join(s.Data, "registry"), Log: s.Log,
		Directory: members{s}, FleetOnly: !s.Embedded.Anyone, Quota: s.Embedded.Quota, MaxUpload: s.Embedded.MaxUpload, Listener: s.hear,
	})
	return err
}

// members are those whom the fleet knows: nodes and hubs by their certificates, operators by theirs or by their tokens. The
// report service is open by the time anybody asks.
type members struct{ s *Stack }

// Token implements registry.Directory.
func (m members) Token(token, address string) (registry.Caller, error) {
	who, err := m.s.reports.Operator(token)
	if err == nil {
		return registry.Caller{Name: who.Name, Role: who.Role}, nil
	}
	if m.s.reports.Admit("operator", address) != nil { // of those that are wrong: who guesses is not the rule
		return registry.Caller{}, registry.ErrLater
	}
	return registry.Caller{}, err
}

// Certificate implements registry.Directory. A node that the report service has never heard of is one whom the authority
// vouches for: when the service lost its memory, the fleet still gets its policy.
func (m members) Certificate(cert *x509.Certificate) (registry.Caller, error) {
	peer, err := identity.MemberOf(cert, m.s.Fleet)
	if err != nil {
		return registry.Caller{}, err
	}
	if peer.Role != identity.RoleNode && peer.Role != identity.RoleHub { // of an operator: those that were revoked are known
		held, err := m.s.reports.CertificateHolder(cert)
		return registry.Caller{Name: held.Operator, Role: held.Role}, err
	}
	key, err := m.s.reports.NodeKey(peer.Name)
	switch {
	case errors.Is(err, api.ErrUnknownNode):
	case err != nil:
		return registry.Caller{}, err
	case !key.Equal(ed25519Key(cert)):
		return registry.Caller{}, api.Refuse(api.ErrWrongNode, "the certificate of %s has another key than the node enrolled with", peer.Name)
	}
	return registry.Caller{Name: peer.Name, Role: peer.Role}, nil
}

func ed25519Key(cert *x509.Certificate) ed25519.PublicKey {
	key, _ := cert.PublicKey.(ed25519.PublicKey) // of another kind: equal to none
	return key
}

// hear has what happens at the registry recorded. What somebody has pushed may be an approval or an order of modes, which the
// controller need not wait a poll for.
func (s *Stack) hear(i registry.Incident) {
	by := audit.Caller{Name: i.By.Name, Role: string(i.By.Role), Address: i.Address}
	if i.Code == "" {
		if s.publish != nil {
			s.publish.NudgeAll()
		}
		s.reports.Pushed(by, i.Request, i.Text)
		return
	}
	code := api.ErrForbidden.Code
	if i.By == (registry.Caller{}) {
		code = api.ErrUnauthorized.Code
	}
	s.reports.Refused(by, i.Request, code, i.Text)
}
