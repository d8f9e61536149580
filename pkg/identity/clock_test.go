package identity

import (
	"crypto/x509"
	"testing"
	"time"
)

// TestClock: a clock that is behind learns from the authority of the fleet that it is, and from nobody else; it never goes back.
func TestClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	ca, err := NewCA("lab", now)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := NewCA("lab", now)
	if err != nil {
		t.Fatal(err)
	}
	machine := now.Add(-24 * time.Hour)
	c := NewClock(func() time.Time { return machine })
	show := func(ca *CA, at time.Time) []*x509.Certificate {
		t.Helper()
		cert, err := ca.IssueServer(nil, at)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{leaf}
	}
	if c.Shown(ca.Pool(), show(stranger, now)) || !c.Now().Equal(machine) {
		t.Error("a stranger sets the clock")
	}
	if !c.Shown(ca.Pool(), show(ca, now)) || !c.Now().Equal(now) {
		t.Errorf("it is %s", c.Now())
	}
	if c.Shown(ca.Pool(), show(ca, now.Add(-time.Hour))) || !c.Now().Equal(now) {
		t.Errorf("an older certificate sets it back to %s", c.Now())
	}
	if off := c.Told(now.Add(time.Hour)); off != 25*time.Hour || !c.Stamp().Equal(now.Add(time.Hour)) || !c.Now().Equal(now) {
		t.Errorf("the service says an hour later: off %s, stamp %s, now %s", off, c.Stamp(), c.Now())
	}
}
