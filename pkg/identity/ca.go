// Package identity says who is speaking: the fleet's certificate authority, enrolment tokens, the key of a node, and
// signatures on single requests (RFC 9421).
//
// It refuses to trust on first use (the token carries the fingerprint of the authority), to keep a secret in clear, to
// read a clock and to decide what a node may do: packages api and reporting do.
package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// Lifetimes and the tolerance for clocks that run behind.
const (
	caLife = 20 * 365 * 24 * time.Hour
	// ServerLife is how long a server certificate is valid; it is renewed when a third is left.
	ServerLife = 90 * 24 * time.Hour
	// ClientLife is how long the certificate of a node is valid unless the caller says otherwise.
	ClientLife = 7 * 24 * time.Hour
	backdate   = 10 * time.Minute
)

// The errors of authorities.
var (
	// ErrCA says that a certificate authority cannot be used.
	ErrCA = errors.New("not a usable certificate authority")
	// ErrNoCA says that there is no authority yet.
	ErrNoCA = errors.New("there is no certificate authority yet")
)

// A CA is the certificate authority of one fleet: a key and its certificate, self-signed unless it is [External]. It is
// safe for concurrent use.
type CA struct {
	cert   *x509.Certificate
	key    crypto.Signer
	remote *remote // instead of key
	fleet  string
}

// NewCA makes the authority of a fleet, valid from now for twenty years.
func NewCA(fleet string, now time.Time) (*CA, error) {
	if err := CheckName(fleet); err != nil {
		return nil, fmt.Errorf("making the authority of a fleet: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the authority: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Vigo fleet CA", Organization: []string{fleet}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(caLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the authority: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading back the authority: %w", err)
	}
	return &CA{cert: cert, key: key, fleet: fleet}, nil
}

// ParseCA reads an authority from its PEM certificate and its PEM PKCS#8 key.
func ParseCA(certPEM, keyPEM []byte) (*CA, error) {
	cert, err := parseCert(certPEM)
	if err != nil {
		return nil, fmt.Errorf("reading the authority: %w: %w", ErrCA, err)
	}
	if !cert.IsCA || len(cert.Subject.Organization) != 1 {
		return nil, fmt.Errorf("reading the authority: %w", ErrCA)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("reading the key of the authority: %w: %w", ErrCA, err)
	}
	if pub, ok := key.Public().(*ecdsa.PublicKey); !ok || !pub.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("reading the key of the authority: it belongs to another certificate: %w", ErrCA)
	}
	return &CA{cert: cert, key: key, fleet: cert.Subject.Organization[0]}, nil
}

// Fleet is the name of the fleet the authority speaks for.
func (c *CA) Fleet() string { return c.fleet }

// Expires is when the certificate of the authority does.
func (c *CA) Expires() time.Time { return c.cert.NotAfter }

// CertPEM is the certificate of the authority.
func (c *CA) CertPEM() []byte { return certPEM(c.cert.Raw) }

// KeyPEM is the private key of the authority as PKCS#8; keep it secret.
func (c *CA) KeyPEM() ([]byte, error) { return keyPEM(c.key) }

// Fingerprint is the lower-case hexadecimal SHA-256 of the certificate, as tokens carry it.
func (c *CA) Fingerprint() string { return fingerprint(c.cert.Raw) }

// Pool returns a new pool that holds the authority alone.
func (c *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.cert)
	return pool
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number: %w", err)
	}
	return serial.Add(serial, big.NewInt(1)), nil
}

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func parseKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("not a PEM block of type PRIVATE KEY (PKCS#8)")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing PKCS#8: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

func parseCert(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("not a PEM block of type CERTIFICATE")
	}
	return x509.ParseCertificate(block.Bytes)
}

// ParseChain reads the first certificate of a PEM chain.
func ParseChain(chainPEM []byte) (*x509.Certificate, error) { return parseCert(chainPEM) }

// FingerprintPEM returns the fingerprint of a PEM certificate.
func FingerprintPEM(data []byte) (string, error) {
	cert, err := parseCert(data)
	if err != nil {
		return "", fmt.Errorf("reading a certificate: %w", err)
	}
	return fingerprint(cert.Raw), nil
}
