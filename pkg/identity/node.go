package identity

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
)

// A NodeKey is the Ed25519 key a node makes at enrolment and never gives away. It proves the node on the connection
// (client certificate) and on every request (signature).
type NodeKey struct{ key ed25519.PrivateKey }

// NewNodeKey draws a key.
func NewNodeKey() (NodeKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return NodeKey{}, fmt.Errorf("making a node key: %w", err)
	}
	return NodeKey{key: key}, nil
}

// ParseNodeKey reads a PEM PKCS#8 Ed25519 key.
func ParseNodeKey(data []byte) (NodeKey, error) {
	signer, err := parseKey(data)
	if err != nil {
		return NodeKey{}, fmt.Errorf("reading the node key: %w", err)
	}
	key, ok := signer.(ed25519.PrivateKey)
	if !ok {
		return NodeKey{}, fmt.Errorf("reading the node key: it is %T, want Ed25519", signer)
	}
	return NodeKey{key: key}, nil
}

// PEM is the key as PKCS#8; keep it secret (mode 0600).
func (k NodeKey) PEM() ([]byte, error) { return keyPEM(k.key) }

// Public is the public half.
func (k NodeKey) Public() ed25519.PublicKey { return k.key.Public().(ed25519.PublicKey) }

// Signer gives the key to code that signs.
func (k NodeKey) Signer() crypto.Signer { return k.key }

// KeyID names a public key: the first 16 bytes of its SHA-256, in hexadecimal.
func KeyID(pub ed25519.PublicKey) string {
	return fingerprint(pub)[:hex.EncodedLen(16)]
}

// CSR makes a PEM certificate request for a node name.
func (k NodeKey) CSR(node string) ([]byte, error) {
	if err := CheckName(node); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: node}}, k.key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// Certificate joins the key with the PEM chain the authority issued for it.
func (k NodeKey) Certificate(chainPEM []byte) (tls.Certificate, error) {
	keyPEM, err := k.PEM()
	if err != nil {
		return tls.Certificate{}, err
	}
	cert, err := tls.X509KeyPair(chainPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading the client certificate: %w", err)
	}
	return cert, nil
}
