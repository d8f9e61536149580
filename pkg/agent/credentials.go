package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/identity"
)

// credentials are the key and the certificate of a node, and the authority it trusts.
type credentials struct {
	state State
	key   identity.NodeKey
	roots *x509.CertPool
	now   func() time.Time

	mu   sync.Mutex
	cert tls.Certificate
}

func loadCredentials(s State, now func() time.Time) (*credentials, error) {
	key, err := s.nodeKey()
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(s.Path(caFile))
	if err != nil {
		return nil, fmt.Errorf("reading the authority of the fleet: %w", err)
	}
	c := &credentials{state: s, key: key, roots: x509.NewCertPool(), now: now}
	if !c.roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("reading the authority of the fleet: it holds no certificate")
	}
	chain, err := os.ReadFile(s.Path(certFile))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of this node: %w", err)
	}
	if c.cert, err = key.Certificate(chain); err != nil {
		return nil, fmt.Errorf("reading the certificate of this node: %w", err)
	}
	return c, nil
}

// Certificate returns the certificate to show now.
func (c *credentials) Certificate() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert := c.cert
	return &cert, nil
}

// A renewer gives a new certificate for the key of the node.
type renewer interface {
	Renew(ctx context.Context) ([]byte, error)
}

// Renew gets a new certificate when a third of the life of the present one is left.
func (c *credentials) Renew(ctx context.Context, from renewer) error {
	cert, err := c.Certificate()
	if err != nil || !identity.NeedsRenewal(cert.Leaf, c.now()) {
		return err
	}
	chain, err := from.Renew(ctx)
	if err != nil {
		return fmt.Errorf("renewing the certificate: %w", err)
	}
	fresh, err := c.key.Certificate(chain)
	if err != nil {
		return fmt.Errorf("renewing the certificate: %w", err)
	}
	if err := atomicfile.Write(c.state.Path(certFile), chain, 0o600); err != nil {
		return err
	}
	c.mu.Lock()
	c.cert = fresh
	c.mu.Unlock()
	return nil
}
