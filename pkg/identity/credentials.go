package identity

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
)

// CredentialFiles are where who has enrolled, a node or a hub, keeps what it has got.
type CredentialFiles struct {
	Key         string // Ed25519, PKCS#8 PEM
	Certificate string // PEM chain; written again when it is renewed
	Authority   string // PEM certificate of the fleet's authority
}

// Credentials are a key, the certificate for it, and the authority that is trusted.
type Credentials struct {
	Key   NodeKey
	Roots *x509.CertPool // the fleet's authority
	// Damaged is why there was no certificate to begin with; nil when there was one.
	Damaged error

	path string // of the certificate
	now  func() time.Time

	mu   sync.Mutex
	cert tls.Certificate
}

// OpenCredentials reads credentials. A certificate that is lost is no error, since the key proves who asks for a new one.
func OpenCredentials(f CredentialFiles, now func() time.Time) (*Credentials, error) {
	data, err := os.ReadFile(f.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the node key: %w", err)
	}
	key, err := ParseNodeKey(data)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(f.Authority)
	if err != nil {
		return nil, fmt.Errorf("reading the authority of the fleet: %w", err)
	}
	c := &Credentials{Key: key, Roots: x509.NewCertPool(), path: f.Certificate, now: now}
	if !c.Roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("reading the authority of the fleet: it holds no certificate")
	}
	chain, err := os.ReadFile(f.Certificate)
	if err == nil {
		c.cert, err = key.Certificate(chain)
	}
	if err != nil {
		c.Damaged = fmt.Errorf("reading the certificate: %w", err)
	}
	return c, nil
}

// HeldCredentials are those of who keeps them elsewhere: they are shown, and not renewed.
func HeldCredentials(key NodeKey, cert tls.Certificate, roots *x509.CertPool, now func() time.Time) *Credentials {
	return &Credentials{Key: key, Roots: roots, now: now, cert: cert}
}

// Certificate returns the certificate to show now.
func (c *Credentials) Certificate() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cert := c.cert
	return &cert, nil
}

// Usable says whether there is a certificate that is valid now.
func (c *Credentials) Usable() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cert.Leaf != nil && !Expired(c.cert.Leaf, c.now())
}

// A Renewer gives a new certificate for the key it is known by, as a PEM chain.
type Renewer interface {
	Renew(ctx context.Context) ([]byte, error)
}

// Renew gets a new certificate when a third of the life of the present one is left, or when there is none. The new one is
// used also when it cannot be kept on disk.
func (c *Credentials) Renew(ctx context.Context, from Renewer) error {
	c.mu.Lock()
	leaf := c.cert.Leaf
	c.mu.Unlock()
	if leaf != nil && !NeedsRenewal(leaf, c.now()) {
		return nil
	}
	chain, err := from.Renew(ctx)
	if err != nil {
		return fmt.Errorf("renewing the certificate: %w", err)
	}
	fresh, err := c.Key.Certificate(chain)
	if err != nil {
		return fmt.Errorf("renewing the certificate: %w", err)
	}
	c.mu.Lock()
	c.cert = fresh
	c.mu.Unlock()
	if err := atomicfile.Write(c.path, chain, 0o600); err != nil {
		return fmt.Errorf("keeping the certificate: %w", err)
	}
	return nil
}
