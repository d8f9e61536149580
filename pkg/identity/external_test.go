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
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A site is the public key infrastructure of an owner: a root, and an intermediate for one fleet.
type site struct {
	root, sub *x509.Certificate
	key       *ecdsa.PrivateKey // of sub
}

func newSite(t *testing.T, edit func(*x509.Certificate)) site {
	t.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	now := time.Now()
	authority := func(name string) *x509.Certificate {
		serial, err := newSerial()
		must(t, err)
		return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(5, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	root := authority("Acme root")
	sub := authority("Acme fleet")
	if edit != nil {
		edit(sub)
	}
	s := site{key: key}
	s.root = sign(t, root, root, rootKey.Public(), rootKey)
	s.sub = sign(t, sub, s.root, key.Public(), rootKey)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func sign(t *testing.T, tmpl, parent *x509.Certificate, pub any, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, by)
	must(t, err)
	cert, err := x509.ParseCertificate(der)
	must(t, err)
	return cert
}

// program signs as a program of the site that does what it is told; edit may change what it makes.
func (s site) program(t *testing.T, edit func(*x509.Certificate)) SignCSR {
	t.Helper()
	return func(_ context.Context, r SignRequest) ([]byte, error) {
		block, _ := pem.Decode(r.CSR)
		csr, err := x509.ParseCertificateRequest(block.Bytes)
		if err != nil {
			return nil, err
		}
		uri, err := url.Parse(r.URI)
		if err != nil {
			return nil, err
		}
		serial, err := newSerial()
		if err != nil {
			return nil, err
		}
		tmpl := &x509.Certificate{SerialNumber: serial, Subject: csr.Subject, NotBefore: time.Now(), NotAfter: r.Until, KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{uri}, BasicConstraintsValid: true}
		if r.Peer.Role == RoleService {
			tmpl.ExtKeyUsage, tmpl.DNSNames, tmpl.IPAddresses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, csr.DNSNames, csr.IPAddresses
		} else if len(r.Names) > 0 {
			tmpl.ExtKeyUsage, tmpl.DNSNames = append(tmpl.ExtKeyUsage, x509.ExtKeyUsageServerAuth), r.Names
		}
		pub := csr.PublicKey
		if edit != nil && r.Peer.Role == RoleNode {
			edit(tmpl)
			if tmpl.PublicKey != nil {
				pub = tmpl.PublicKey
			}
		}
		der, err := x509.CreateCertificate(rand.Reader, tmpl, s.sub, pub, s.key)
		return certPEM(der), err
	}
}

// An authority of the owner, by its key or by a program, does all that the embedded one does, for clients that know only its
// fingerprint.
func TestExternal(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	chain := append(certPEM(s.sub.Raw), certPEM(s.root.Raw)...)
	for name, e := range map[string]External{"key": {Cert: chain, Key: s.key}, "program": {Cert: chain, Sign: s.program(t, nil)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, err := NewExternal("acme", e, time.Now())
			must(t, err)
			if ca.Fleet() != "acme" || ca.Fingerprint() != fingerprint(s.sub.Raw) {
				t.Errorf("%s %s", ca.Fleet(), ca.Fingerprint())
			}
			key := newKey(t)
			issued, _, err := ca.IssueClient(csr(t, key, "web-1"), Client{Role: RoleNode, Name: "web-1"}, time.Now())
			must(t, err)
			cert, err := key.Certificate(issued)
			must(t, err)
			names, peer := handshake(t, ca, &cert)
			if names.VerifyHostname("192.0.2.7") != nil || names.VerifyHostname("vigo.example.com") != nil || peer != (Peer{"acme", RoleNode, "web-1"}) {
				t.Errorf("%v %v, %+v", names.DNSNames, names.IPAddresses, peer)
			}
			hub, _, err := ca.IssueClient(csr(t, key, "plant-3"), Client{Role: RoleHub, Name: "plant-3"}, time.Now())
			must(t, err)
			if leaf := mustParse(t, hub); !OfHub(leaf) || leaf.VerifyHostname(ServerName) != nil {
				t.Errorf("the certificate of a hub: %v %v", leaf.URIs, leaf.DNSNames)
			}
			seal, err := ca.Seal("test", []byte("said"))
			must(t, err)
			must(t, CheckSeal(ca.CertPEM(), "test", []byte("said"), seal))
			for what, err := range map[string]error{
				"another word":      CheckSeal(ca.CertPEM(), "test", []byte("not said"), seal),
				"another purpose":   CheckSeal(ca.CertPEM(), "other", []byte("said"), seal),
				"another authority": CheckSeal(newCA(t).CertPEM(), "test", []byte("said"), seal),
				"nothing":           CheckSeal(ca.CertPEM(), "test", []byte("said"), nil),
				"no certificate":    CheckSeal(ca.CertPEM(), "test", []byte("said"), []byte("{}")),
			} {
				if !errors.Is(err, ErrSeal) {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// handshake connects a client that knows the fingerprint to a server, and returns the certificates that each has seen.
func handshake(t *testing.T, ca *CA, client *tls.Certificate) (server *x509.Certificate, peer Peer) {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	served := tls.Server(far, ca.NewServer([]string{"vigo.example.com", "192.0.2.7"}, time.Now).TLS())
	done := make(chan error, 1)
	go func() { done <- served.Handshake() }()
	conf := PinTLS(ca.Fingerprint(), time.Now, nil)
	conf.Certificates = []tls.Certificate{*client}
	conn := tls.Client(near, conf)
	must(t, conn.Handshake())
	go func() { _, _ = io.Copy(io.Discard, conn) }() // the tickets of the server, until the pipe is closed
	must(t, <-done)
	state := served.ConnectionState()
	if len(state.VerifiedChains) == 0 {
		t.Fatal("the client is not verified")
	}
	peer, err := PeerOf(state.PeerCertificates[0])
	must(t, err)
	return conn.ConnectionState().PeerCertificates[0], peer
}

// A certificate from elsewhere that is good for more, or for somebody else, is not handed out.
func TestProgramIsNotBelieved(t *testing.T) {
	t.Parallel()
	s, other := newSite(t, nil), newSite(t, nil)
	stranger := newKey(t)
	uri := func(text string) *url.URL { u, _ := url.Parse(text); return u }
	for name, c := range map[string]struct {
		edit func(*x509.Certificate)
		says string
	}{
		"another key":        {func(c *x509.Certificate) { c.PublicKey = stranger.Public() }, "another key"},
		"another name":       {func(c *x509.Certificate) { c.Subject.CommonName = "web-2" }, "web-2"},
		"another node":       {func(c *x509.Certificate) { c.URIs[0] = uri("vigo://acme/node/web-2") }, "names"},
		"an operator":        {func(c *x509.Certificate) { c.URIs[0] = uri("vigo://acme/admin/web-1") }, "names"},
		"another fleet":      {func(c *x509.Certificate) { c.URIs[0] = uri("vigo://other/node/web-1") }, "names"},
		"two names":          {func(c *x509.Certificate) { c.URIs = append(c.URIs, uri("vigo://acme/admin/web-1")) }, "names"},
		"no name":            {func(c *x509.Certificate) { c.URIs = nil }, "names"},
		"the service's name": {func(c *x509.Certificate) { c.DNSNames = []string{ServerName} }, "its names are"},
		"a server":           {func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) }, "extended uses"},
		"any use":            {func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageAny) }, "extended uses"},
		"no use":             {func(c *x509.Certificate) { c.ExtKeyUsage = nil }, "extended uses"},
		"an authority":       {func(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }, "signing alone"},
		"for encryption":     {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, "signing alone"},
		"for ten years":      {func(c *x509.Certificate) { c.NotAfter = time.Now().AddDate(10, 0, 0) }, "valid from"},
		"for a minute":       {func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Minute) }, "valid from"},
		"tomorrow":           {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(24 * time.Hour) }, "valid from"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, err := NewExternal("acme", External{Cert: certPEM(s.sub.Raw), Sign: s.program(t, c.edit)}, time.Now())
			must(t, err)
			key := newKey(t)
			_, _, err = ca.IssueClient(csr(t, key, "web-1"), Client{Role: RoleNode, Name: "web-1"}, time.Now())
			if !errors.Is(err, ErrIssued) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
	for name, program := range map[string]SignCSR{
		"another authority": other.program(t, nil),
		"no certificate":    func(context.Context, SignRequest) ([]byte, error) { return []byte("hello"), nil },
		"a failure":         func(context.Context, SignRequest) ([]byte, error) { return nil, errors.New("the vault is sealed") },
	} {
		if _, err := NewExternal("acme", External{Cert: certPEM(s.sub.Raw), Sign: program}, time.Now()); err == nil {
			t.Errorf("%s: it is taken for an authority", name)
		}
	}
}

// An authority that could not be used shows when it is opened.
func TestExternalRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	must(t, err)
	limited := newSite(t, func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"example.com"} })
	clients := newSite(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	old := newSite(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	leaf := newSite(t, func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, x509.KeyUsageDigitalSignature })
	for name, e := range map[string]External{
		"no key":                {Cert: certPEM(s.sub.Raw)},
		"key and program":       {Cert: certPEM(s.sub.Raw), Key: s.key, Sign: s.program(t, nil)},
		"another key":           {Cert: certPEM(s.sub.Raw), Key: newSite(t, nil).key},
		"a key of another sort": {Cert: certPEM(s.sub.Raw), Key: edKey},
		"no certificate":        {Cert: []byte("hello"), Key: s.key},
		"other names":           {Cert: certPEM(limited.sub.Raw), Key: limited.key},
		"other uses":            {Cert: certPEM(clients.sub.Raw), Key: clients.key},
		"run out":               {Cert: certPEM(old.sub.Raw), Key: old.key},
		"no authority":          {Cert: certPEM(leaf.sub.Raw), Key: leaf.key},
	} {
		if _, err := NewExternal("acme", e, time.Now()); err == nil {
			t.Errorf("%s: it is taken for an authority", name)
		}
	}
}

// A data folder stays with the authority that its nodes pin.
func TestOpenExternal(t *testing.T) {
	t.Parallel()
	s, other := newSite(t, nil), newSite(t, nil)
	now := time.Now()
	mine := External{Cert: certPEM(s.sub.Raw), Key: s.key}
	dir := filepath.Join(t.TempDir(), "ca")
	for range 2 {
		_, err := OpenExternal(dir, "acme", mine, now)
		must(t, err)
	}
	if _, err := OpenExternal(dir, "acme", External{Cert: certPEM(other.sub.Raw), Key: other.key}, now); !errors.Is(err, ErrCA) {
		t.Errorf("another one: %v", err)
	}
	if _, err := OpenCA(dir, "acme", now); !errors.Is(err, ErrCA) {
		t.Errorf("one of its own: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, caKeyFile)); err == nil {
		t.Error("a key was made")
	}
	own := filepath.Join(t.TempDir(), "ca")
	openCA(t, own, "acme")
	if _, err := OpenExternal(own, "acme", mine, now); !errors.Is(err, ErrCA) {
		t.Errorf("over one of its own: %v", err)
	}
}

// A service whose authority cannot be used goes on with its certificate until that has run out.
func TestServerGoesOnWithoutItsAuthority(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	down := false
	tries := 0
	good := s.program(t, nil)
	ca, err := NewExternal("acme", External{Cert: certPEM(s.sub.Raw), Sign: func(ctx context.Context, r SignRequest) ([]byte, error) {
		tries++
		if down {
			return nil, errors.New("the vault is sealed")
		}
		return good(ctx, r)
	}}, time.Now())
	must(t, err)
	at := time.Now()
	server := ca.NewServer(nil, func() time.Time { return at })
	first, err := server.Certificate(nil)
	must(t, err)
	down, tries = true, 0
	at = at.Add(ServerLife * 3 / 4)
	for range 5 {
		cert, err := server.Certificate(nil)
		must(t, err)
		if cert != first {
			t.Error("another certificate")
		}
	}
	if tries != 1 {
		t.Errorf("it was tried %d times in one moment", tries)
	}
	at = at.Add(ServerLife)
	if _, err := server.Certificate(nil); err == nil {
		t.Error("a certificate that has run out is shown")
	}
}
