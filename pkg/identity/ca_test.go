package identity

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/fault"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func newCA(t *testing.T) *CA {
	t.Helper()
	ca, err := NewCA("acme", noon)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func openCA(t *testing.T, dir, fleet string) *CA {
	t.Helper()
	ca, err := OpenCA(dir, fleet, noon)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// TestOpenCA makes an authority once and finds the same one at every start, whether the fleet is named or not.
func TestOpenCA(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data", "ca")
	if _, err := OpenCA(dir, "", noon); !errors.Is(err, ErrNoCA) {
		t.Fatalf("without an authority and without a name: %v", err)
	}
	made := openCA(t, dir, "acme")
	for _, fleet := range []string{"acme", ""} {
		if again := openCA(t, dir, fleet); again.Fingerprint() != made.Fingerprint() || again.Fleet() != "acme" {
			t.Errorf("opened for %q: %s of %s", fleet, again.Fingerprint(), again.Fleet())
		}
	}
	if _, err := OpenCA(dir, "other", noon); !errors.Is(err, ErrCA) {
		t.Errorf("opened for another fleet: %v", err)
	}
	for name, want := range map[string]os.FileMode{".": 0o700, caKeyFile: 0o600, caCertFile: 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %04o, want %04o", name, got, want)
		}
	}
}

// TestOpenCAInterrupted starts over after a start that was interrupted before the authority had its place.
func TestOpenCAInterrupted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "ca")
	if err := os.MkdirAll(dir+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir+".new", caKeyFile), []byte("half a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	openCA(t, dir, "acme")
	if _, err := os.Stat(dir + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the draft is left: %v", err)
	}
}

// TestOpenCADamaged never makes a new authority in place of one that was damaged: every node would be locked out.
func TestOpenCADamaged(t *testing.T) {
	t.Parallel()
	other := newCA(t)
	otherKey, err := other.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(dir string) error{
		"no certificate":      func(dir string) error { return os.Remove(filepath.Join(dir, caCertFile)) },
		"no key":              func(dir string) error { return os.Remove(filepath.Join(dir, caKeyFile)) },
		"empty key":           func(dir string) error { return os.Truncate(filepath.Join(dir, caKeyFile), 0) },
		"cut key":             func(dir string) error { return os.Truncate(filepath.Join(dir, caKeyFile), 100) },
		"cut certificate":     func(dir string) error { return os.Truncate(filepath.Join(dir, caCertFile), 200) },
		"key of another":      func(dir string) error { return os.WriteFile(filepath.Join(dir, caKeyFile), otherKey, 0o600) },
		"key others may read": func(dir string) error { return os.Chmod(filepath.Join(dir, caKeyFile), 0o640) },
		"certificate of a node": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, caCertFile), issue(t, other, newKey(t), Client{Role: RoleNode, Name: "web-1"}), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "ca")
			openCA(t, dir, "acme")
			if err := damage(dir); err != nil {
				t.Fatal(err)
			}
			_, err := OpenCA(dir, "acme", noon)
			if !errors.Is(err, ErrCA) || len(fault.Hints(err)) == 0 {
				t.Errorf("got %v with hints %q", err, fault.Hints(err))
			}
		})
	}
}

// TestServerCertificate is renewed without a restart, good for every name and for ServerName, and shows its authority.
func TestServerCertificate(t *testing.T) {
	t.Parallel()
	ca, now := newCA(t), noon
	server := ca.NewServer([]string{"vigo.example.com", "192.0.2.7", ""}, func() time.Time { return now })
	first, err := server.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{ServerName, "vigo.example.com", "192.0.2.7"} {
		if _, err := first.Leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: name, CurrentTime: now}); err != nil {
			t.Errorf("as %s: %v", name, err)
		}
	}
	now = noon.Add(ServerLife * 6 / 10)
	if same, _ := server.Certificate(nil); same != first {
		t.Error("a certificate with 40 % left was renewed")
	}
	now = noon.Add(ServerLife * 7 / 10)
	next, err := server.Certificate(nil)
	if err != nil || next == first || !next.Leaf.NotAfter.After(first.Leaf.NotAfter) {
		t.Errorf("with 30 %% left: %v", err)
	}
}

// TestPin accepts a server of the authority in the token and nothing else.
func TestPin(t *testing.T) {
	t.Parallel()
	ca, other := newCA(t), newCA(t)
	good, err := ca.IssueServer(nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.IssueServer(nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	node := mustParse(t, issue(t, ca, newKey(t), Client{Role: RoleNode, Name: "web-1"}))
	for name, c := range map[string]struct {
		chain []*x509.Certificate
		at    time.Time
		ok    bool
	}{
		"as issued":                         {[]*x509.Certificate{good.Leaf, ca.cert}, noon, true},
		"a clock nine minutes behind":       {[]*x509.Certificate{good.Leaf, ca.cert}, noon.Add(-9 * time.Minute), true},
		"a clock eleven minutes behind":     {[]*x509.Certificate{good.Leaf, ca.cert}, noon.Add(-11 * time.Minute), false},
		"past its end":                      {[]*x509.Certificate{good.Leaf, ca.cert}, noon.Add(ServerLife + time.Second), false},
		"without the authority":             {[]*x509.Certificate{good.Leaf}, noon, false},
		"another authority":                 {[]*x509.Certificate{foreign.Leaf, other.cert}, noon, false},
		"another leaf, our authority shown": {[]*x509.Certificate{foreign.Leaf, ca.cert}, noon, false},
		"a node plays server":               {[]*x509.Certificate{node, ca.cert}, noon, false},
		"nothing":                           {nil, noon, false},
		"too much":                          {make([]*x509.Certificate, 9), noon, false},
	} {
		got, err := VerifyPinned(c.chain, ca.Fingerprint(), c.at)
		switch {
		case c.ok && (err != nil || got != ca.cert):
			t.Errorf("%s: %v", name, err)
		case !c.ok && !errors.Is(err, ErrPin):
			t.Errorf("%s: accepted or another error: %v", name, err)
		}
	}
}
