package identity

import (
	"context"
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
	"slices"
	"sync"
	"time"

	"vigo.dev/pkg/fault"
)

// RoleService is what the holder of the certificate of the service itself is, where a program signs: it speaks for the
// authority (see [CA.Seal]).
const RoleService Role = "service"

// signTime bounds one signature of an authority elsewhere.
const signTime = 15 * time.Second

// minLife is how long a certificate from elsewhere must be valid at least, and longestLife how long at most.
const (
	minLife     = time.Hour
	longestLife = ServerLife + 24*time.Hour // programs count in days
)

// ErrIssued says that a certificate from elsewhere is not what was asked for.
var ErrIssued = errors.New("the certificate that was returned is not what was asked for")

// remote is an authority that only a program can use.
type remote struct {
	sign SignCSR

	mu     sync.Mutex
	server tls.Certificate // the newest one: it seals
}

// certify has a request signed and checks the certificate.
func (c *CA) certify(ctx context.Context, r SignRequest, key any, now time.Time) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, signTime)
	defer cancel()
	r.URI, r.From = r.Peer.uri().String(), now.Add(-backdate)
	chain, err := c.remote.sign(ctx, r)
	if err != nil {
		return nil, err
	}
	leaf, err := parseCert(chain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIssued, err)
	}
	if err := c.checkIssued(leaf, r, key, now); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIssued, err)
	}
	return leaf, nil
}

// checkIssued says why a certificate is not the one that was asked for. It is as strict as what the embedded authority
// makes: a certificate that is good for more than was meant is not handed out.
func (c *CA) checkIssued(leaf *x509.Certificate, r SignRequest, key any, now time.Time) error {
	peer, err := PeerOf(leaf)
	server := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	client := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	switch {
	case !samePublic(leaf.PublicKey, key):
		return errors.New("it is for another key")
	case err != nil || peer != r.Peer:
		return fault.WithHint(fmt.Errorf("it names %q and %v", leaf.Subject.CommonName, leaf.URIs),
			fmt.Sprintf("its only URI must be %s, and its common name %s", r.URI, r.Peer.Name))
	case leaf.IsCA || leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 || leaf.KeyUsage&x509.KeyUsageCertSign != 0:
		return errors.New("it is not for signing alone")
	case slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) || server != (len(r.Names) > 0) || client != (r.Peer.Role != RoleService):
		return fmt.Errorf("its extended uses are %v", leaf.ExtKeyUsage)
	case !sameNames(leaf, r.Names) || len(leaf.EmailAddresses) > 0:
		return fmt.Errorf("its names are %v %v %v, want %v", leaf.DNSNames, leaf.IPAddresses, leaf.EmailAddresses, r.Names)
	case leaf.NotBefore.After(now.Add(Skew)) || leaf.NotAfter.Before(now.Add(minLife)) || leaf.NotAfter.After(now.Add(longestLife)):
		return fmt.Errorf("it is valid from %s to %s: at least %s and at most %s from now", leaf.NotBefore.UTC().Format(time.RFC3339),
			leaf.NotAfter.UTC().Format(time.RFC3339), minLife, longestLife)
	}
	opts := x509.VerifyOptions{Roots: c.Pool(), CurrentTime: now.Add(time.Second), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	if leaf.NotBefore.After(opts.CurrentTime) { // its clock runs ahead, within what is tolerated
		opts.CurrentTime = leaf.NotBefore
	}
	if _, err := leaf.Verify(opts); err != nil {
		return fault.WithHint(fmt.Errorf("the authority has not signed it: %w", err), "it must be signed by the certificate that --ca-cert names, with nothing between")
	}
	return nil
}

// sameNames reports whether a certificate has these names and addresses, in any order, and no others.
func sameNames(leaf *x509.Certificate, names []string) bool {
	got := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		got = append(got, ip.String())
	}
	return slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(names)))
}

func samePublic(a, b any) bool {
	switch k := a.(type) {
	case ed25519.PublicKey:
		return k.Equal(b)
	case *ecdsa.PublicKey:
		return k.Equal(b)
	}
	return false
}

// remoteClient is [CA.IssueClient] where a program signs. The request has been checked.
func (c *CA) remoteClient(csrPEM []byte, who Client, key crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	r := SignRequest{CSR: csrPEM, Peer: Peer{Fleet: c.fleet, Role: who.Role, Name: who.Name}, Until: now.Add(who.Life)}
	if who.Role == RoleHub {
		r.Names = []string{ServerName}
	}
	return c.certify(context.Background(), r, key, now)
}

// remoteServer is [CA.IssueServer] where a program signs.
func (c *CA) remoteServer(names []string, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a server key: %w", err)
	}
	peer := Peer{Fleet: c.fleet, Role: RoleService, Name: ServerName}
	tmpl := &x509.CertificateRequest{Subject: pkix.Name{CommonName: ServerName}, URIs: []*url.URL{peer.uri()}}
	want := []string{ServerName}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			name = ip.String()
		}
		if name != "" && !slices.Contains(want, name) {
			want = append(want, name)
		}
	}
	for _, name := range want {
		if ip := net.ParseIP(name); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, tmpl, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate request: %w", err)
	}
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	leaf, err := c.certify(context.Background(), SignRequest{CSR: csr, Peer: peer, Names: want, Until: now.Add(ServerLife)}, key.Public(), now)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("having a server certificate signed: %w", err)
	}
	cert := tls.Certificate{Certificate: [][]byte{leaf.Raw, c.cert.Raw}, PrivateKey: key, Leaf: leaf}
	c.remote.mu.Lock()
	defer c.remote.mu.Unlock()
	c.remote.server = cert
	return cert, nil
}
