package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"net/url"
	"testing"
	"time"
)

func newKey(t *testing.T) NodeKey {
	t.Helper()
	key, err := NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func csr(t *testing.T, key NodeKey, name string) []byte {
	t.Helper()
	data, err := key.CSR(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func issue(t *testing.T, ca *CA, key NodeKey, who Client) []byte {
	t.Helper()
	chain, _, err := ca.IssueClient(csr(t, key, who.Name), who, noon)
	if err != nil {
		t.Fatal(err)
	}
	return chain
}

func mustParse(t *testing.T, certPEM []byte) *x509.Certificate {
	t.Helper()
	cert, err := parseCert(certPEM)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestIssue says who the holder is by what the authority was told, not by what the request wishes for.
func TestIssue(t *testing.T) {
	t.Parallel()
	ca, key := newCA(t), newKey(t)
	wish := &url.URL{Scheme: "vigo", Host: "acme", Path: "/admin/root"}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "web-1", Organization: []string{"other"}}, URIs: []*url.URL{wish}, DNSNames: []string{ServerName},
	}, key.Signer())
	if err != nil {
		t.Fatal(err)
	}
	request := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
	chain, public, err := ca.IssueClient(request, Client{Role: RoleNode, Name: "web-1"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	leaf := mustParse(t, chain)
	peer, err := PeerOf(leaf)
	if err != nil || peer != (Peer{Fleet: "acme", Role: RoleNode, Name: "web-1"}) {
		t.Errorf("the holder is %+v: %v", peer, err)
	}
	if len(leaf.DNSNames) != 0 || leaf.IsCA || !public.Equal(key.Public()) {
		t.Errorf("the certificate has DNS names %v, is an authority: %v", leaf.DNSNames, leaf.IsCA)
	}
	for usage, ok := range map[x509.ExtKeyUsage]bool{x509.ExtKeyUsageClientAuth: true, x509.ExtKeyUsageServerAuth: false} {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: noon, KeyUsages: []x509.ExtKeyUsage{usage}})
		if (err == nil) != ok {
			t.Errorf("for usage %d: %v", usage, err)
		}
	}
	if _, err := key.Certificate(chain); err != nil {
		t.Errorf("joining key and certificate: %v", err)
	}
	if _, err := newKey(t).Certificate(chain); err == nil {
		t.Error("another key was joined with the certificate")
	}
}

// TestIssueRefuses a request that is for another name, cannot be verified, or is of a key that agents do not have.
func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	ca, key := newCA(t), newKey(t)
	good := csr(t, key, "web-1")
	weak, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "web-1"}}, weak)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	block.Bytes[len(block.Bytes)-1] ^= 1
	for name, request := range map[string][]byte{
		"another name":      csr(t, key, "web-2"),
		"ECDSA":             pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: ecDER}),
		"broken signature":  pem.EncodeToMemory(block),
		"two of them":       append(bytes.Clone(good), good...),
		"a certificate":     ca.CertPEM(),
		"not PEM":           []byte("hello"),
		"nothing":           nil,
		"more than 8 KiB":   append(bytes.Clone(good), bytes.Repeat([]byte("\n"), maxCSR)...),
		"rubbish inside":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: []byte{0x30, 0x03, 1, 2, 3}}),
		"a name in capital": csr(t, key, "WEB-1"),
	} {
		if _, _, err := ca.IssueClient(request, Client{Role: RoleNode, Name: "web-1"}, noon); !errors.Is(err, ErrCSR) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "a..b", "-a", "a-", "a/b", "a b", "ä", "a\n", string(bytes.Repeat([]byte("a"), 129))} {
		if _, err := key.CSR(name); !errors.Is(err, ErrName) {
			t.Errorf("a request for %q: %v", name, err)
		}
	}
}

// TestClientWindow is valid for clocks that run ten minutes behind, is due for renewal when a third is left, and ends.
func TestClientWindow(t *testing.T) {
	t.Parallel()
	ca := newCA(t)
	cert := mustParse(t, issue(t, ca, newKey(t), Client{Role: RoleNode, Name: "web-1", Life: 30 * time.Hour}))
	for at, want := range map[time.Duration]struct{ expired, renew bool }{
		-11 * time.Minute:          {true, false},
		-9 * time.Minute:           {false, false},
		0:                          {false, false},
		19 * time.Hour:             {false, false},
		21 * time.Hour:             {false, true},
		30*time.Hour - time.Second: {false, true},
		30*time.Hour + time.Second: {true, true},
	} {
		now := noon.Add(at)
		if got := Expired(cert, now); got != want.expired {
			t.Errorf("after %s: expired %v", at, got)
		}
		if got := NeedsRenewal(cert, now); got != want.renew {
			t.Errorf("after %s: needs renewal %v", at, got)
		}
		_, err := cert.Verify(x509.VerifyOptions{Roots: ca.Pool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if (err != nil) != want.expired {
			t.Errorf("after %s: verified: %v", at, err)
		}
	}
	if usual := mustParse(t, issue(t, ca, newKey(t), Client{Role: RoleNode, Name: "web-1"})); !usual.NotAfter.Equal(noon.Add(ClientLife)) {
		t.Errorf("the usual life ends at %s", usual.NotAfter)
	}
}

// TestPeerOf refuses certificates that do not say who their holder is, or say it twice differently.
func TestPeerOf(t *testing.T) {
	t.Parallel()
	uri := func(s string) []*url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return []*url.URL{u}
	}
	for name, cert := range map[string]*x509.Certificate{
		"no URI":       {Subject: pkix.Name{CommonName: "web-1"}},
		"two URIs":     {Subject: pkix.Name{CommonName: "web-1"}, URIs: append(uri("vigo://acme/node/web-1"), uri("vigo://acme/node/web-2")...)},
		"other scheme": {Subject: pkix.Name{CommonName: "web-1"}, URIs: uri("spiffe://acme/node/web-1")},
		"other name":   {Subject: pkix.Name{CommonName: "web-2"}, URIs: uri("vigo://acme/node/web-1")},
		"no role":      {Subject: pkix.Name{CommonName: "web-1"}, URIs: uri("vigo://acme/web-1")},
		"bad name":     {Subject: pkix.Name{CommonName: "a/b"}, URIs: uri("vigo://acme/node/a/b")},
	} {
		if peer, err := PeerOf(cert); !errors.Is(err, ErrPeer) {
			t.Errorf("%s: %+v, %v", name, peer, err)
		}
	}
}

// TestNodeKey survives being kept, and refuses other keys.
func TestNodeKey(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	data, err := key.PEM()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseNodeKey(data)
	if err != nil || !again.Public().Equal(key.Public()) || KeyID(again.Public()) != KeyID(key.Public()) {
		t.Errorf("read back: %v", err)
	}
	caKey, err := newCA(t).KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"ECDSA": caKey, "cut": data[:len(data)/2], "nothing": nil} {
		if _, err := ParseNodeKey(bad); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}
