package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"fmt"
)

// A scheme is how a key of some type signs: ECDSA and RSA PKCS #1 v1.5 over a digest, Ed25519 over the message itself
// (hash 0) or, as Ed25519ph, over its SHA-512.
type scheme struct {
	hash crypto.Hash
	name string // in the algorithm registry of Sigstore; empty for what only old clients did
}

// verify says whether sig is a signature of message. A key of a type that signs nothing here has none.
func (s scheme) verify(key crypto.PublicKey, message, sig []byte) bool {
	digest := message
	if s.hash != 0 {
		digest = sum(s.hash, message)
	}
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return s.hash != 0 && ecdsa.VerifyASN1(k, digest, sig)
	case *rsa.PublicKey:
		return s.hash != 0 && rsa.VerifyPKCS1v15(k, s.hash, digest, sig) == nil
	case ed25519.PublicKey:
		return ed25519.VerifyWithOptions(k, digest, sig, &ed25519.Options{Hash: s.hash}) == nil
	}
	return false
}

func sum(hash crypto.Hash, message []byte) []byte {
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// registered is how a key signs by the algorithm registry of Sigstore, Ed25519 prehashed.
func registered(key crypto.PublicKey) (scheme, error) {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return scheme{crypto.SHA256, "PKIX_ECDSA_P256_SHA_256"}, nil
		case elliptic.P384():
			return scheme{crypto.SHA384, "PKIX_ECDSA_P384_SHA_384"}, nil
		case elliptic.P521():
			return scheme{crypto.SHA512, "PKIX_ECDSA_P521_SHA_512"}, nil
		}
	case *rsa.PublicKey:
		switch bits := k.Size() * 8; bits {
		case 2048, 3072, 4096:
			return scheme{crypto.SHA256, fmt.Sprintf("PKIX_RSA_PKCS1V15_%d_SHA256", bits)}, nil
		}
	case ed25519.PublicKey:
		return scheme{crypto.SHA512, "PKIX_ED25519_PH"}, nil
	}
	return scheme{}, fmt.Errorf("a key of type %T, or of its size, is not in the algorithm registry of Sigstore", key)
}

// ofEnvelopes are the schemes in which the key of a certificate signs envelopes: Ed25519 as it is, and ECDSA on the larger
// curves also over SHA-256, as old clients did.
func ofEnvelopes(key crypto.PublicKey) ([]scheme, error) {
	s, err := registered(key)
	if err != nil {
		return nil, err
	}
	switch key.(type) {
	case ed25519.PublicKey:
		return []scheme{{}}, nil
	case *ecdsa.PublicKey:
		return []scheme{s, {hash: crypto.SHA256}}, nil
	}
	return []scheme{s}, nil
}

// ofLogs is the scheme in which the key of a log signs checkpoints.
func ofLogs(key crypto.PublicKey) (scheme, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return scheme{}, nil
	case *rsa.PublicKey:
		return scheme{hash: crypto.SHA256}, nil
	default:
		return registered(k)
	}
}
