package identity

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/fault"
)

// An External authority is kept by the owner of the fleet: the certificate, and either its key, wherever that is, or a
// program that signs.
type External struct {
	Cert []byte        // PEM; the first certificate in it counts, and is what nodes pin: it need not be self-signed
	Key  crypto.Signer // ECDSA
	Sign SignCSR       // instead of Key
}

// SignCSR has a certificate request signed elsewhere. The answer is a PEM chain whose first certificate is what was asked
// for; [CA] checks it.
type SignCSR func(ctx context.Context, r SignRequest) (chainPEM []byte, err error)

// A SignRequest says what certificate is wanted. The request proves the key; who it is for is in Peer, which the certificate
// must carry as its only URI.
type SignRequest struct {
	CSR   []byte // PEM
	Peer  Peer
	URI   string
	Names []string  // DNS names and addresses it serves under (also); none: it is for a client alone
	From  time.Time // a while ago, for clocks that run behind
	Until time.Time
}

// externalFile remembers by which authority a data folder's nodes know the service.
const externalFile = "external.crt"

// OpenExternal makes an authority out of one that is kept elsewhere, and tries it. The folder remembers which one: nodes
// pin it, and would be locked out by another.
func OpenExternal(dir, fleet string, e External, now time.Time) (*CA, error) {
	ca, err := NewExternal(fleet, e, now)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, caKeyFile)); err == nil {
		return nil, fault.WithHint(fmt.Errorf("opening the authority: %s has one of its own, which its nodes pin: %w", dir, ErrCA),
			"start without --ca-cert, or with another data folder: every node enrols again then")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("opening the authority: %w", err)
	}
	path := filepath.Join(dir, externalFile)
	switch known, err := os.ReadFile(path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("keeping the authority: %w", err)
		}
		return ca, atomicfile.Write(path, ca.CertPEM(), 0o644)
	case err != nil:
		return nil, fmt.Errorf("opening the authority: %w", err)
	case !bytes.Equal(known, ca.CertPEM()):
		return nil, fault.WithHint(fmt.Errorf("opening the authority: it is not the one in %s, which the nodes pin: %w", path, ErrCA),
			"give the one before; with another authority every node has to enrol again, with a new data folder")
	}
	return ca, nil
}

// NewExternal is [OpenExternal] without a folder.
func NewExternal(fleet string, e External, now time.Time) (*CA, error) {
	if err := CheckName(fleet); err != nil {
		return nil, fmt.Errorf("opening the authority of a fleet: %w", err)
	}
	cert, err := parseCert(e.Cert)
	if err != nil {
		return nil, fmt.Errorf("opening the authority: %w: %w", ErrCA, err)
	}
	if !cert.IsCA || cert.KeyUsage != 0 && cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		return nil, fmt.Errorf("opening the authority: %q may not sign certificates: %w", cert.Subject, ErrCA)
	}
	ca := &CA{cert: cert, key: e.Key, fleet: fleet}
	switch {
	case (e.Key == nil) == (e.Sign == nil):
		return nil, fmt.Errorf("opening the authority: it needs a key, or a program that signs: %w", ErrCA)
	case e.Sign != nil:
		ca.key, ca.remote = nil, &remote{sign: e.Sign}
	default:
		if pub, ok := e.Key.Public().(*ecdsa.PublicKey); !ok || !pub.Equal(cert.PublicKey) {
			return nil, fmt.Errorf("opening the authority: the key is not that of the certificate, or not ECDSA: %w", ErrCA)
		}
	}
	// What nodes check at their first connection is checked here: an authority that has run out, or is limited to other
	// names or uses, shows now and not there.
	server, err := ca.IssueServer(nil, now)
	if err != nil {
		return nil, fmt.Errorf("trying the authority: %w", err)
	}
	if server.Leaf.NotBefore.After(now) { // a program may have taken a moment
		now = server.Leaf.NotBefore
	}
	if _, err := VerifyPinned([]*x509.Certificate{server.Leaf, cert}, ca.Fingerprint(), now); err != nil {
		return nil, fault.WithHint(fmt.Errorf("trying the authority: a certificate of it is not accepted: %w: %w", ErrCA, err),
			"it must be valid, and its constraints must allow the name "+ServerName+" and both uses of TLS")
	}
	return ca, nil
}

// elsewhere returns [ErrCA] when the authority of a folder is kept by the owner of the fleet.
func elsewhere(dir string) error {
	path := filepath.Join(dir, externalFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("opening the authority: %w", err)
	}
	return fault.WithHint(fmt.Errorf("opening the authority: the one that nodes pin is kept elsewhere, and %s is its certificate: %w", path, ErrCA),
		"start with --ca-cert, and --ca-key or --sign-with, as before")
}
