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
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// credentials are the key and the certificate of a node, and the authority it trusts.
type credentials struct {
	state State
	key   identity.NodeKey
	roots *x509.CertPool
	now   func() time.Time

	mu      sync.Mutex
	cert    tls.Certificate
	damaged error // why there is no certificate to begin with
}

func loadCredentials(s State, now func() time.Time) (*credentials, error) {
	key, err := s.loadKey()
	if err != nil {
		return nil, again(err)
	}
	ca, err := os.ReadFile(s.Path(caFile))
	if err != nil {
		return nil, again(fmt.Errorf("reading the authority of the fleet: %w", err))
	}
	c := &credentials{state: s, key: key, roots: x509.NewCertPool(), now: now}
	if !c.roots.AppendCertsFromPEM(ca) {
		return nil, again(errors.New("reading the authority of the fleet: it holds no certificate"))
	}
	chain, err := os.ReadFile(s.Path(certFile))
	if err == nil {
		c.cert, err = key.Certificate(chain)
	}
	if err != nil {
		// The key proves this node: a certificate that is lost is asked for anew, like one that has run out.
		c.damaged = fmt.Errorf("reading the certificate of this node: %w", err)
	}
	return c, nil
}

// again tells what helps when the identity of a node is lost.
func again(err error) error {
	return fault.WithHint(err, "restore the file, or enrol again with --force")
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

// Usable says whether there is a certificate that is valid now.
func (c *credentials) Usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cert.Leaf != nil && !identity.Expired(c.cert.Leaf, c.now())
}

// Renew gets a new certificate when a third of the life of the present one is left, or when there is none. The new one is
// used also when it cannot be kept on disk.
func (c *credentials) Renew(ctx context.Context, from renewer) error {
	c.mu.Lock()
	leaf := c.cert.Leaf
	c.mu.Unlock()
	if leaf != nil && !identity.NeedsRenewal(leaf, c.now()) {
		return nil
	}
	chain, err := from.Renew(ctx)
	if err != nil {
		return fmt.Errorf("renewing the certificate: %w", err)
	}
	fresh, err := c.key.Certificate(chain)
	if err != nil {
		return fmt.Errorf("renewing the certificate: %w", err)
	}
	c.mu.Lock()
	c.cert = fresh
	c.mu.Unlock()
	if err := atomicfile.Write(c.state.Path(certFile), chain, 0o600); err != nil {
		return fmt.Errorf("keeping the certificate: %w", err)
	}
	return nil
}
