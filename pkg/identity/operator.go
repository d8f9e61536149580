package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"slices"
	"time"
)

// OperatorLife is the longest, and the usual, life of the certificate of an operator.
const OperatorLife = ServerLife

// An OperatorRequest is the certificate request of a person or a program, whose signature holds.
type OperatorRequest struct {
	pem []byte
	csr *x509.CertificateRequest
}

// ParseOperatorRequest reads a PEM certificate request of an Ed25519 key, or of an ECDSA key on P-256 or P-384 (what security
// keys and the stores of companies have), and checks its signature. [ErrCSR].
func ParseOperatorRequest(csrPEM []byte) (OperatorRequest, error) {
	csr, err := parseRequest(csrPEM)
	if err != nil {
		return OperatorRequest{}, err
	}
	switch key := csr.PublicKey.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() && key.Curve != elliptic.P384() {
			return OperatorRequest{}, fmt.Errorf("the key is on %s, want P-256 or P-384: %w", key.Curve.Params().Name, ErrCSR)
		}
	default:
		return OperatorRequest{}, fmt.Errorf("the key is %s, want Ed25519 or ECDSA: %w", csr.PublicKeyAlgorithm, ErrCSR)
	}
	return OperatorRequest{csrPEM, csr}, nil
}

// KeyHash names the key that the request proves, as [KeyHash] of a certificate for it does.
func (r OperatorRequest) KeyHash() ([]byte, error) { return keyHash(r.csr.PublicKey) }

// KeyHash is the SHA-256 of the public key of a certificate: what a service knows an operator's certificates by.
func KeyHash(cert *x509.Certificate) ([]byte, error) { return keyHash(cert.PublicKey) }

func keyHash(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// IssueOperator answers the certificate request of an operator, and returns the PEM chain (leaf, authority). Name and role
// are those of who. A request in the name of somebody else, or that names itself otherwise in this scheme, is refused
// ([ErrCSR]) and not merely corrected: it was meant for something.
func (c *CA) IssueOperator(r OperatorRequest, who Client, now time.Time) ([]byte, error) {
	if r.csr.Subject.CommonName != who.Name {
		return nil, fmt.Errorf("the request is for %.140q, not for %q: %w", r.csr.Subject.CommonName, who.Name, ErrCSR)
	}
	uri := Peer{Fleet: c.fleet, Role: who.Role, Name: who.Name}.uri().String()
	for _, u := range r.csr.URIs {
		if u.Scheme == "vigo" && u.String() != uri {
			return nil, fmt.Errorf("the request names itself %.140q, and is granted %q: %w", u, uri, ErrCSR)
		}
	}
	if !slices.Contains([]Role{RoleViewer, RoleOperator, RoleAdmin, RolePublisher}, who.Role) {
		return nil, fmt.Errorf("%q is not a role of operators: %w", who.Role, ErrCSR)
	}
	if who.Life <= 0 || who.Life > OperatorLife {
		return nil, fmt.Errorf("a life of %s is not between 0 and %s: %w", who.Life, OperatorLife, ErrCSR)
	}
	leaf, err := c.clientFor(r.pem, who, r.csr.PublicKey, now)
	if err != nil {
		return nil, err
	}
	return append(certPEM(leaf.Raw), c.CertPEM()...), nil
}

// RequestFor makes a PEM certificate request with the key of a certificate.
func RequestFor(cert tls.Certificate, name string) ([]byte, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}, cert.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("making a certificate request: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}
