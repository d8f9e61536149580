package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrSeal says that something was not said by the authority, or was altered on its way.
var ErrSeal = errors.New("not sealed by the authority of the fleet")

// sealed is what the key of the authority signs. It never signs a certificate that way: those begin with a DER sequence.
func sealed(purpose string, data []byte) []byte {
	sum := sha256.Sum256(data)
	all := sha256.Sum256(append([]byte("vigo seal: "+purpose+"\n"), sum[:]...))
	return all[:]
}

// delegated is a seal by the service itself, for an authority whose key it does not have: a certificate of [RoleService]
// and a signature of its key. As JSON it begins with a brace, and a plain signature with a DER sequence.
type delegated struct {
	Certificate []byte `json:"certificate"` // DER
	Signature   []byte `json:"signature"`
}

// Seal signs data for a purpose with the key of the authority, so that a relay can hand it on and cannot alter it. Where a
// program signs certificates, the key of the service does it, under its certificate.
func (c *CA) Seal(purpose string, data []byte) ([]byte, error) {
	if c.remote == nil {
		seal, err := c.key.Sign(rand.Reader, sealed(purpose, data), crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("sealing: %w", err)
		}
		return seal, nil
	}
	c.remote.mu.Lock()
	server := c.remote.server // there is one since the authority was opened
	c.remote.mu.Unlock()
	d := delegated{Certificate: server.Leaf.Raw}
	var err error
	if d.Signature, err = server.PrivateKey.(crypto.Signer).Sign(rand.Reader, sealed(purpose, data), crypto.SHA256); err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return json.Marshal(d)
}

// CheckSeal checks a seal against the PEM certificate of an authority that is known already; [ErrSeal]. A seal of the
// service is good as long as its certificate was once: what it says is read years later, too.
func CheckSeal(caPEM []byte, purpose string, data, seal []byte) error {
	cert, err := parseCert(caPEM)
	if err != nil {
		return fmt.Errorf("reading the authority: %w", err)
	}
	public := cert.PublicKey
	if len(seal) > 0 && seal[0] == '{' {
		if public, seal, err = delegate(cert, seal); err != nil {
			return fmt.Errorf("%w: %w", ErrSeal, err)
		}
	}
	key, ok := public.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(key, sealed(purpose, data), seal) {
		return ErrSeal
	}
	return nil
}

// delegate returns the key and the signature of a seal by the service, whose certificate the authority must have signed.
func delegate(ca *x509.Certificate, seal []byte) (public any, signature []byte, err error) {
	var d delegated
	if err := json.Unmarshal(seal, &d); err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(d.Certificate)
	if err != nil {
		return nil, nil, err
	}
	if peer, err := PeerOf(leaf); err != nil || peer.Role != RoleService || leaf.IsCA {
		return nil, nil, errors.New("it is not by a service")
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	then := leaf.NotBefore
	if ca.NotBefore.After(then) {
		then = ca.NotBefore
	}
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: then, DNSName: ServerName, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return leaf.PublicKey, d.Signature, err
}
