package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// A Signer signs with one key, wherever it is kept: in memory, in an HSM or with a key service.
type Signer struct {
	key    crypto.Signer
	public PublicKey
}

// NewKey makes a new ECDSA P-256 key. It is the default because cosign cannot verify its own Ed25519 image signatures
// (sigstore/cosign PR 5074).
func NewKey() (*Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return NewSigner(key)
}

// NewSigner signs with key, which must be ECDSA P-256 or Ed25519.
func NewSigner(key crypto.Signer) (*Signer, error) {
	public, err := NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return &Signer{key: key, public: public}, nil
}

// LoadSigner reads an unencrypted private key from PEM: PKCS #8 ("PRIVATE KEY") or SEC 1 ("EC PRIVATE KEY").
func LoadSigner(data []byte) (*Signer, error) {
	block, err := onlyBlock(data)
	if err != nil {
		return nil, fmt.Errorf("reading a private key: %w", err)
	}
	var parsed any
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fault.WithHint(fmt.Errorf("reading a private key: PEM block %q is not understood", block.Type),
			"give an unencrypted PKCS #8 key: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256")
	}
	if err != nil {
		return nil, fmt.Errorf("reading a private key: %w", err)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("reading a private key: a key of type %T cannot sign", parsed)
	}
	return NewSigner(key)
}

// PEM renders the private key as PKCS #8. It fails for keys that do not leave the place they are kept in.
func (s *Signer) PEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return nil, fmt.Errorf("rendering a private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// Public returns the public half.
func (s *Signer) Public() PublicKey { return s.public }

// Key gives the key to code that signs something of another kind, such as certificates.
func (s *Signer) Key() crypto.Signer { return s.key }

// SignManifest signs a manifest as a bundle that may run. The result is a Sigstore bundle for [Attach].
func (s *Signer) SignManifest(ctx context.Context, d bundle.Descriptor) ([]byte, error) {
	payload, err := manifestStatement(d.Digest)
	if err != nil {
		return nil, fmt.Errorf("signing a manifest: %w", err)
	}
	return s.sign(ctx, payload)
}

// SignPointer signs a channel pointer. The result is a Sigstore bundle for [PublishPointer].
func (s *Signer) SignPointer(ctx context.Context, p bundle.Pointer) ([]byte, error) {
	payload, err := PointerPayload(p)
	if err != nil {
		return nil, fmt.Errorf("signing a pointer: %w", err)
	}
	return s.sign(ctx, payload)
}

// sign wraps payload, an in-toto statement, in a signed Sigstore bundle.
func (s *Signer) sign(ctx context.Context, payload []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	pae := preAuth(payload)
	var signature []byte
	var err error
	if _, ok := s.public.key.(ed25519.PublicKey); ok {
		signature, err = s.key.Sign(rand.Reader, pae, crypto.Hash(0))
	} else {
		sum := sha256.Sum256(pae)
		signature, err = s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return encodeEnvelope(s.public.ID(), payload, signature)
}
