package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// ErrSeal says that something was not said by the authority, or was altered on its way.
var ErrSeal = errors.New("not sealed by the authority of the fleet")

// sealed is what the key of the authority signs. It never signs a certificate that way: those begin with a DER sequence.
func sealed(purpose string, data []byte) []byte {
	sum := sha256.Sum256(data)
	all := sha256.Sum256(append([]byte("vigo seal: "+purpose+"\n"), sum[:]...))
	return all[:]
}

// Seal signs data for a purpose with the key of the authority, so that a relay can hand it on and cannot alter it.
func (c *CA) Seal(purpose string, data []byte) ([]byte, error) {
	seal, err := c.key.Sign(rand.Reader, sealed(purpose, data), crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return seal, nil
}

// CheckSeal checks a seal against the PEM certificate of an authority that is known already; [ErrSeal].
func CheckSeal(caPEM []byte, purpose string, data, seal []byte) error {
	cert, err := parseCert(caPEM)
	if err != nil {
		return fmt.Errorf("reading the authority: %w", err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(key, sealed(purpose, data), seal) {
		return ErrSeal
	}
	return nil
}
