package resources

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
)

// What cannot be in a text case, as every key is another: a request is made, an authority elsewhere signs it, the policy gives
// the certificate back, and it is an error when it nears its end. Another name makes another request; the key stays.
func TestCertificateRequest(t *testing.T) {
	t.Parallel()
	m, err := hosttest.Parse([]byte("clock 2026-12-01T12:00:00Z\ndir /etc/ssl\n"))
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	ca := &Certificate{Path: "/etc/ssl/ca.pem", Key: "/etc/ssl/ca.key", CommonName: "Test", Authority: true, Days: 4000}
	issueTo(t, h, ca, "key", "certificate")
	c := &Certificate{Path: "/etc/ssl/app.pem", Key: "/etc/ssl/app.key", Request: "/etc/ssl/app.csr", Names: []string{"app.example.com", "192.0.2.1"}}
	issueTo(t, h, c, "key", "request")
	key := readText(t, h, c.Key)
	if strings.Contains(readText(t, h, c.Request), "PRIVATE") {
		t.Fatal("the request holds the key")
	}

	c.Issued = signRequest(t, h, ca, c.Request)
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	issueTo(t, h, c, "certificate ensure", "certificate content", "certificate mode")
	if readText(t, h, c.Path) != c.Issued {
		t.Fatal("the certificate is not what was issued")
	}

	c.Issued = ""
	c.Names = append(c.Names, "www.example.com")
	issueTo(t, h, c, "names")
	if readText(t, h, c.Key) != key {
		t.Fatal("another name made another key")
	}
	soon := 364
	c.RenewDays = &soon
	if _, err := c.Plan(t.Context(), h); err != nil {
		t.Fatalf("365 days before its end: %v", err)
	}
	late, err := hosttest.Parse([]byte("clock 2027-11-20T12:00:00Z\nfile /etc/ssl/app.key mode=0600 \"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{c.Key, c.Path, c.Request} {
		if err := late.Host().FS.Write(t.Context(), name, strings.NewReader(readText(t, h, name)), host.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	c.RenewDays = nil
	if _, err := c.Plan(t.Context(), late.Host()); err == nil || !strings.Contains(err.Error(), "ends on 2027-12-01") {
		t.Fatalf("11 days before its end: %v", err)
	}

	other := *c
	other.Key, other.Request = "/etc/ssl/other.key", "/etc/ssl/other.csr"
	issueTo(t, h, &Certificate{Path: "/etc/ssl/none.pem", Key: other.Key, Request: other.Request, Names: other.Names}, "key", "request")
	if _, err := other.Plan(t.Context(), h); err == nil || !strings.Contains(err.Error(), "of another key") {
		t.Fatalf("a certificate of another key: %v", err)
	}
}

// signRequest does what an authority elsewhere does with a request.
func signRequest(t *testing.T, h *host.Host, ca *Certificate, path string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(readText(t, h, path)))
	if block == nil {
		t.Fatal("the request is no PEM")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if err := request.CheckSignature(); err != nil {
		t.Fatal(err)
	}
	authority, signer, err := (&Certificate{CACertificate: ca.Path, CAKey: ca.Key}).authority(h)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := (&Certificate{Names: []string{"app.example.com", "192.0.2.1"}}).template(request.PublicKey, h.Clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(strings.NewReader(strings.Repeat("x", 1000)), cert, authority, request.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func readText(t *testing.T, h *host.Host, path string) string {
	t.Helper()
	data, err := h.FS.Read(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
