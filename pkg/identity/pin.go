package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/fault"
)

// ErrPin says that a server does not belong to the authority whose fingerprint is known: another fleet, or somebody in
// between.
var ErrPin = fault.WithHint(errors.New("server does not belong to the pinned authority"),
	"check the address; the token or credential belongs to another fleet, or the connection is intercepted")

// PinTLS is the configuration of a client that knows only the fingerprint of the authority: the server must show a chain
// that ends in that certificate and a leaf for [ServerName]. pinned, if not nil, is called with the authority.
func PinTLS(fingerprint string, now func() time.Time, pinned func(ca *x509.Certificate)) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		ServerName: ServerName,
		Time:       now,
		NextProtos: []string{"http/1.1"},
		// The usual verification needs a root that is not known yet; VerifyConnection does all of it.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			ca, err := VerifyPinned(cs.PeerCertificates, fingerprint, now())
			if err == nil && pinned != nil {
				pinned(ca)
			}
			return err
		},
	}
}

// VerifyPinned checks a chain as a server showed it against the fingerprint of an authority, and returns that authority.
func VerifyPinned(chain []*x509.Certificate, fingerprintHex string, now time.Time) (*x509.Certificate, error) {
	if len(chain) == 0 || len(chain) > 8 {
		return nil, fmt.Errorf("a chain of %d certificates: %w", len(chain), ErrPin)
	}
	for _, cert := range chain[1:] {
		if fingerprint(cert.Raw) != fingerprintHex || !cert.IsCA {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(cert)
		if _, err := chain[0].Verify(x509.VerifyOptions{
			Roots: roots, DNSName: ServerName, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		}); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPin, err)
		}
		return cert, nil
	}
	return nil, ErrPin
}
