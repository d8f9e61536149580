package identity

import (
	"crypto/x509"
	"sync/atomic"
	"time"
)

// A Clock is the time of a node whose own clock may be wrong: it may have no battery, or nobody who sets it. What it learns holds
// until the process ends. It decides what a node says to its fleet, and never what it believes of policy.
type Clock struct {
	machine func() time.Time
	behind  atomic.Int64 // nanoseconds, as a certificate has shown
	off     atomic.Int64 // nanoseconds, as the service has said; positive: the machine is behind
}

// NewClock is a Clock that takes that of the machine for right.
func NewClock(machine func() time.Time) *Clock { return &Clock{machine: machine} }

// Now is the time for certificates. It is that of the machine, or later: nobody but the authority of the fleet has a say in it,
// so that a certificate that has expired does not come to be good again.
func (c *Clock) Now() time.Time { return c.machine().Add(time.Duration(c.behind.Load())) }

// Stamp is the time to sign a request with: the service refuses one that is [Skew] away from its own.
func (c *Clock) Stamp() time.Time { return c.machine().Add(time.Duration(c.off.Load())) }

// Told takes the time that a service has given with its refusal, and returns by how much the clock of the machine is behind it.
func (c *Clock) Told(service time.Time) time.Duration {
	off := service.Sub(c.machine())
	c.off.Store(int64(off))
	return off
}

// Shown looks at the certificates of a server, its own first, which are not valid yet. When the authority has issued them, the
// clock of the machine is behind, and Shown returns true if that was news.
func (c *Clock) Shown(roots *x509.CertPool, chain []*x509.Certificate) bool {
	if len(chain) == 0 {
		return false
	}
	issued := chain[0].NotBefore.Add(backdate)
	behind := issued.Sub(c.machine())
	if behind <= time.Duration(c.behind.Load()) {
		return false
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, DNSName: ServerName, CurrentTime: issued,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return false
	}
	c.behind.Store(int64(behind))
	return true
}
