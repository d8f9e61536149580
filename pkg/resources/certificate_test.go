package resources

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
)

// What cannot be in a text case, as every key is another: a machine without any of the files gets an authority and a
// certificate that x509 verifies, for every kind of key. A second plan is empty, another kind of key replaces both.
func TestCertificateFromNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"ecdsa-p256", "ecdsa-p384", "ed25519", "rsa-2048", "rsa-3072"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			m, err := hosttest.Parse([]byte("clock 2026-12-01T12:00:00Z\ndir /etc/ssl\n"))
			if err != nil {
				t.Fatal(err)
			}
			h := m.Host()
			ca := &Certificate{Path: "/etc/ssl/ca.pem", Key: "/etc/ssl/ca.key", CommonName: "Test", Authority: true, KeyType: kind}
			leaf := &Certificate{Path: "/etc/ssl/a.pem", Key: "/etc/ssl/a.key", Names: []string{"a.example.com", "::1"}, KeyType: kind,
				CACertificate: ca.Path, CAKey: ca.Key}
			issueTo(t, h, ca, "key", "certificate")
			issueTo(t, h, leaf, "key", "certificate")

			roots := x509.NewCertPool()
			roots.AddCert(certificateAt(t, h, ca.Path))
			for _, name := range []string{"a.example.com", "::1"} {
				opt := x509.VerifyOptions{Roots: roots, CurrentTime: h.Clock.Now().AddDate(0, 6, 0), DNSName: name}
				if _, err := certificateAt(t, h, leaf.Path).Verify(opt); err != nil {
					t.Errorf("for %s: %v", name, err)
				}
			}
			if is, err := h.FS.Stat(leaf.Key); err != nil || is.Mode != 0o600 {
				t.Errorf("the key has mode %o, %v", is.Mode, err)
			}
			leaf.KeyType = "ed25519"
			if kind == leaf.KeyType {
				leaf.KeyType = "ecdsa-p256"
			}
			issueTo(t, h, leaf, "key", "certificate")
		})
	}
}

// issueTo applies a plan that has changes of these fields, and proves that the next is empty and that no key was shown.
func issueTo(t *testing.T, h *host.Host, c *Certificate, fields ...string) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := c.Plan(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ch := range p.Changes() {
		got = append(got, ch.Field)
		if strings.Contains(ch.From+ch.To+ch.Diff, "PRIVATE") {
			t.Error("a key is shown")
		}
	}
	if !slices.Equal(got, fields) {
		t.Errorf("changes %v, want %v", got, fields)
	}
	if _, err := p.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := c.Plan(t.Context(), h); err != nil || !again.Empty() {
		t.Fatalf("the second plan has %v, %v", again.Changes(), err)
	}
}

func certificateAt(t *testing.T, h *host.Host, path string) *x509.Certificate {
	t.Helper()
	data, err := h.FS.Read(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := parseCertificate(data)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
