package trust

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"vigo.dev/pkg/fault"
)

// A PublicKey may verify: ECDSA on P-256 or Ed25519.
type PublicKey struct {
	key crypto.PublicKey
	der []byte // PKIX
}

// NewPublicKey refuses keys that are neither ECDSA P-256 nor Ed25519.
func NewPublicKey(key crypto.PublicKey) (PublicKey, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return PublicKey{}, fmt.Errorf("the key is on curve %s, only P-256 is accepted", k.Curve.Params().Name)
		}
	case ed25519.PublicKey:
	default:
		return PublicKey{}, fmt.Errorf("the key is of type %T, only ECDSA P-256 and Ed25519 are accepted", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{key: key, der: der}, nil
}

// ParsePublicKey reads a PEM block "PUBLIC KEY" (RFC 7468), as cosign and openssl write it.
func ParsePublicKey(data []byte) (PublicKey, error) {
	block, err := onlyBlock(data)
	if err != nil {
		return PublicKey{}, fmt.Errorf("reading a public key: %w", err)
	}
	if block.Type != "PUBLIC KEY" {
		return PublicKey{}, fault.WithHint(fmt.Errorf("reading a public key: the PEM block is %q, not \"PUBLIC KEY\"", block.Type),
			"give the file with the public half of the key, such as cosign.pub")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, fmt.Errorf("reading a public key: %w", err)
	}
	return NewPublicKey(key)
}

// ID is the name of the key in root documents and its hint in signatures, as cosign computes it: the base64 of the
// SHA-256 of the PKIX form.
func (k PublicKey) ID() string {
	sum := sha256.Sum256(k.der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// PEM renders the key for a file.
func (k PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: k.der})
}

func onlyBlock(data []byte) (*pem.Block, error) {
	if len(data) > 64<<10 {
		return nil, errors.New("the file is too large for a key")
	}
	block, rest := pem.Decode(data)
	if block == nil {
		return nil, errors.New("there is no PEM block")
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, errors.New("there is more than one PEM block")
	}
	return block, nil
}
