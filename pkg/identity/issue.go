package identity

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"
)

// ServerName is a name every server certificate of a fleet's authority carries beside its addresses. Agents and
// operators verify this name, so a service can be reached by any address, through NAT and behind a balancer.
const ServerName = "report.vigo.internal"

// maxCSR bounds a certificate request, in bytes.
const maxCSR = 8 << 10

// ErrCSR says that a certificate request is refused.
var ErrCSR = errors.New("certificate request refused")

// IssueServer makes a server certificate with its own ECDSA P-256 key for the given DNS names and IP addresses and
// [ServerName], valid for [ServerLife] from now. The chain includes the authority, so that a client that only knows
// the fingerprint can find it.
func (c *CA) IssueServer(names []string, now time.Time) (tls.Certificate, error) {
	if c.remote != nil {
		return c.remoteServer(names, now)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a server key: %w", err)
	}
	tmpl := &x509.Certificate{
		Subject:     pkix.Name{CommonName: ServerName, Organization: []string{c.fleet}},
		NotAfter:    now.Add(ServerLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{ServerName},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else if name != "" && name != ServerName {
			tmpl.DNSNames = append(tmpl.DNSNames, name)
		}
	}
	leaf, err := c.issue(tmpl, key.Public(), now)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("issuing a server certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, c.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// A Client says for whom a client certificate is issued.
type Client struct {
	Role Role
	Name string
	Life time.Duration // 0: [ClientLife], or [ServerLife] for a hub
}

// IssueClient answers a certificate request: its signature must hold, its key must be Ed25519, and its subject must be
// the name in who; everything else in it is ignored. It returns the PEM chain (leaf, authority) and the key.
//
// The certificate of a hub is good for serving too, under [ServerName], so that the nodes of its site accept it; it says
// that it is a hub's ([OfHub]), so that it is not taken for the service itself. It lives longer than that of a node: a
// site goes on while its uplink is down.
func (c *CA) IssueClient(csrPEM []byte, who Client, now time.Time) ([]byte, ed25519.PublicKey, error) {
	csr, key, err := ParseCSR(csrPEM)
	if err != nil {
		return nil, nil, err
	}
	if csr.Subject.CommonName != who.Name {
		return nil, nil, fmt.Errorf("the request is for %q, not for %q: %w", csr.Subject.CommonName, who.Name, ErrCSR)
	}
	if who.Life <= 0 {
		who.Life = ClientLife
		if who.Role == RoleHub {
			who.Life = ServerLife
		}
	}
	leaf, err := c.clientFor(csrPEM, who, key, now)
	if err != nil {
		return nil, nil, err
	}
	return append(certPEM(leaf.Raw), c.CertPEM()...), key, nil
}

// clientFor makes a client certificate for a key that a request has proved.
func (c *CA) clientFor(csrPEM []byte, who Client, key crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	if c.remote != nil {
		leaf, err := c.remoteClient(csrPEM, who, key, now)
		if err != nil {
			return nil, fmt.Errorf("having a client certificate signed: %w", err)
		}
		return leaf, nil
	}
	tmpl := &x509.Certificate{
		Subject:     pkix.Name{CommonName: who.Name, Organization: []string{c.fleet}},
		NotAfter:    now.Add(who.Life),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{Peer{Fleet: c.fleet, Role: who.Role, Name: who.Name}.uri()},
	}
	if who.Role == RoleHub {
		tmpl.ExtKeyUsage = append(tmpl.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		tmpl.DNSNames = []string{ServerName}
	}
	leaf, err := c.issue(tmpl, key, now)
	if err != nil {
		return nil, fmt.Errorf("issuing a client certificate: %w", err)
	}
	return leaf, nil
}

func (c *CA) issue(tmpl *x509.Certificate, key any, now time.Time) (*x509.Certificate, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	tmpl.SerialNumber = serial
	tmpl.NotBefore = now.Add(-backdate)
	tmpl.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, tmpl, c.cert, key, c.key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// ParseCSR reads a PEM certificate request of an Ed25519 key, at most 8 KiB, and checks its signature.
func ParseCSR(csrPEM []byte) (*x509.CertificateRequest, ed25519.PublicKey, error) {
	csr, err := parseRequest(csrPEM)
	if err != nil {
		return nil, nil, err
	}
	key, ok := csr.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, nil, fmt.Errorf("the key is %s, want Ed25519: %w", csr.PublicKeyAlgorithm, ErrCSR)
	}
	return csr, key, nil
}

// parseRequest reads a PEM certificate request of any key, and checks its signature.
func parseRequest(csrPEM []byte) (*x509.CertificateRequest, error) {
	if len(csrPEM) > maxCSR {
		return nil, fmt.Errorf("it has %d bytes, at most %d: %w", len(csrPEM), maxCSR, ErrCSR)
	}
	block, rest := pem.Decode(csrPEM)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fmt.Errorf("not one PEM block of type CERTIFICATE REQUEST: %w", ErrCSR)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCSR, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCSR, err)
	}
	return csr, nil
}
