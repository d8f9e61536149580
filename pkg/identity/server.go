package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// VerifyServer accepts a server that belongs to a fleet, whatever its address, and any server with a certificate for its
// name from an authority that the system trusts, or that is in more, which may be nil: how a registry is reached. It is for
// tls.Config.VerifyConnection.
func VerifyServer(cs tls.ConnectionState, fleet, more *x509.CertPool, now time.Time) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the server shows no certificate")
	}
	between := x509.NewCertPool()
	for _, cert := range cs.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	leaf := cs.PeerCertificates[0]
	_, fleetErr := leaf.Verify(x509.VerifyOptions{Roots: fleet, Intermediates: between, DNSName: ServerName, CurrentTime: now})
	if fleetErr == nil {
		return nil
	}
	if more != nil {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: more, Intermediates: between, DNSName: cs.ServerName, CurrentTime: now}); err == nil {
			return nil
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Intermediates: between, DNSName: cs.ServerName, CurrentTime: now}); err != nil {
		return fmt.Errorf("the server shows neither a certificate of the fleet (%w) nor one the system trusts (%w)", fleetErr, err)
	}
	return nil
}
