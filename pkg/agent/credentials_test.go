package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// enrolled is a node that has enrolled: its state, and the authority that renews its certificate.
type enrolled struct {
	t      *testing.T
	now    time.Time
	state  State
	ca     *identity.CA
	asked  int
	answer error
}

func newEnrolled(t *testing.T) *enrolled {
	t.Helper()
	n := &enrolled{t: t, now: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	var err error
	if n.ca, err = identity.OpenCA(filepath.Join(t.TempDir(), "ca"), "lab", n.now); err != nil {
		t.Fatal(err)
	}
	if n.state, err = OpenState(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.state.nodeKey(); err != nil {
		t.Fatal(err)
	}
	chain, err := n.Renew(t.Context())
	err = errors.Join(err, os.WriteFile(n.state.Path(certFile), chain, 0o600), os.WriteFile(n.state.Path(caFile), n.ca.CertPEM(), 0o600),
		n.state.SaveEnrolment(enrolment()), n.state.beginTrust(enrolment()))
	root, rootErr := newKeys(t).root.Marshal()
	if err := errors.Join(err, rootErr, os.WriteFile(n.state.Path(rootFile), root, 0o600)); err != nil {
		t.Fatal(err)
	}
	n.asked = 0
	return n
}

// Renew implements identity.Renewer.
func (n *enrolled) Renew(context.Context) ([]byte, error) {
	n.asked++
	if n.answer != nil {
		return nil, n.answer
	}
	key, err := n.state.loadKey()
	if err != nil {
		return nil, err
	}
	csr, err := key.CSR("web-1")
	if err != nil {
		return nil, err
	}
	chain, _, err := n.ca.IssueClient(csr, identity.Client{Role: identity.RoleNode, Name: "web-1"}, n.now)
	return chain, err
}

func (n *enrolled) load() *identity.Credentials {
	n.t.Helper()
	c, err := loadCredentials(n.state, func() time.Time { return n.now })
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// leaf is the certificate that is shown now.
func leaf(t *testing.T, c *identity.Credentials) *x509.Certificate {
	t.Helper()
	cert, err := c.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	return cert.Leaf
}

func TestACertificateIsRenewedInItsLastThird(t *testing.T) {
	t.Parallel()
	n := newEnrolled(t)
	c := n.load()
	for _, step := range []struct {
		after time.Duration
		asked int
	}{{0, 0}, {identity.ClientLife/3*2 - time.Hour, 0}, {2 * time.Hour, 1}, {time.Hour, 1}} {
		n.now = n.now.Add(step.after)
		if err := c.Renew(t.Context(), n); err != nil || n.asked != step.asked {
			t.Errorf("after %s: asked %d times, want %d; %v", step.after, n.asked, step.asked, err)
		}
	}
	if again := n.load(); !leaf(t, again).Equal(leaf(t, c)) {
		t.Error("the new certificate is not on disk")
	}
}

func TestAServiceThatDoesNotRenewDoesNotEndTheCertificate(t *testing.T) {
	t.Parallel()
	n := newEnrolled(t)
	c := n.load()
	n.answer = errors.New("it is down")
	n.now = n.now.Add(identity.ClientLife - time.Hour)
	if err := c.Renew(t.Context(), n); err == nil || !c.Usable() {
		t.Errorf("got %v, usable %t", err, c.Usable())
	}
	n.now = n.now.Add(2 * time.Hour)
	if c.Usable() {
		t.Error("it is used past its end")
	}
	n.answer = nil
	if err := c.Renew(t.Context(), n); err != nil || !c.Usable() {
		t.Errorf("a host that was off for long: %v", err)
	}
}

func TestANewCertificateThatCannotBeKeptIsUsedAllTheSame(t *testing.T) {
	t.Parallel()
	n := newEnrolled(t)
	c := n.load()
	n.now = n.now.Add(identity.ClientLife - time.Hour)
	old := leaf(t, c)
	if err := errors.Join(os.Remove(n.state.Path(certFile)), os.Mkdir(n.state.Path(certFile), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := c.Renew(t.Context(), n); err == nil {
		t.Error("nobody was told")
	}
	if leaf(t, c).Equal(old) || !c.Usable() {
		t.Error("the new certificate is not used")
	}
}

func TestACertificateThatIsDamagedIsAskedForAnew(t *testing.T) {
	t.Parallel()
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newEnrolled(t)
			if err := damage(n.state.Path(certFile)); err != nil {
				t.Fatal(err)
			}
			c := n.load()
			if c.Usable() && name != "cut" { // of which the first half is the certificate, the second that of the authority
				t.Fatal("it is taken for a certificate")
			}
			if err := c.Renew(t.Context(), n); err != nil && name != "a folder" || !c.Usable() {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnIdentityThatIsLostIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, file := range []string{keyFile, caFile, rootFile} {
		all := map[string]func(string) error{"removed": os.Remove}
		for name, damage := range damages {
			all[name] = damage
		}
		for name, damage := range all {
			t.Run(file+"/"+name, func(t *testing.T) {
				t.Parallel()
				n := newEnrolled(t)
				if err := damage(n.state.Path(file)); err != nil {
					t.Fatal(err)
				}
				before := snapshot(t, n.state.dir)
				_, err := Connect(t.Context(), n.state, ConnectOptions{Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return n.now }})
				if err == nil || !strings.HasPrefix(err.Error(), "reading the ") || len(fault.Hints(err)) == 0 {
					t.Errorf("got %v", err)
				}
				for path, was := range before {
					if after := snapshot(t, n.state.dir)[path]; after != was {
						t.Errorf("%s was changed", filepath.Base(path))
					}
				}
			})
		}
	}
}
