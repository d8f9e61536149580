// Package trusttest makes what it takes the outside world to make: keyless signatures, by a Sigstore instance of its own.
//
// It refuses to be used for anything but tests: its keys are thrown away, and whoever asks is who they say they are.
package trusttest

import (
	"time"

	"vigo.dev/pkg/sigstore"
	"vigo.dev/pkg/sigstore/sigstoretest"
	"vigo.dev/pkg/trust"
)

// A Sigstore is a certificate authority, a transparency log and a timestamp authority.
type Sigstore struct{ *sigstoretest.Sigstore }

// NewSigstore makes one with new keys.
func NewSigstore() (*Sigstore, error) {
	s, err := sigstoretest.New()
	return &Sigstore{s}, err
}

// Sign signs an in-toto statement as somebody, and returns a Sigstore bundle.
func (s *Sigstore) Sign(statement []byte, id trust.Identity) ([]byte, error) {
	return s.Sigstore.Sign(statement, sigstore.Identity(id), time.Now().Add(5*time.Minute))
}

// SignManifest signs a manifest as `cosign sign` does without a key.
func (s *Sigstore) SignManifest(digest string, id trust.Identity) ([]byte, error) {
	return s.Sign(Statement(digest, trust.SignPredicate), id)
}

// Statement is an in-toto statement without a predicate.
func Statement(digest, predicateType string) []byte {
	return sigstoretest.Statement(digest, predicateType)
}
