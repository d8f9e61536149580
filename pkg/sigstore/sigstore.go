// Package sigstore verifies Sigstore bundles offline: DSSE envelopes around in-toto statements, signed with a key, or with
// the short-lived certificate of an identity that logs and timestamp authorities have witnessed.
//
// It refuses to fetch anything, to sign, and to accept what github.com/sigstore/sigstore-go refuses: its tests hold the two
// against each other, over bundles that cosign, sigstore-js and others made and over thousands of changes to them.
// sigstore-go itself would more than double what a program has to load, since it brings clients of all the services. The
// cryptography is that of the standard library, the proofs of Merkle trees are checked by github.com/transparency-dev/merkle
// and timestamps (RFC 3161) by github.com/sigstore/timestamp-authority.
//
// The format is that of github.com/sigstore/protobuf-specs, in the JSON of Protocol Buffers; bundles from v0.1 to v0.3 are
// read. The rules are those of the Sigstore client specification (github.com/sigstore/architecture-docs).
package sigstore

// An Identity is who a certificate was issued to.
type Identity struct {
	Issuer  string // of the OpenID Connect token that was shown for it
	Subject string // subject alternative name
}

// A Statement is what was signed, after it was verified.
type Statement struct {
	PredicateType string
	Signer        Identity // empty when it was signed with a key
}

// The limits of a bundle, those of sigstore-go.
const (
	maxEntries    = 32   // of logs
	maxTimestamps = 32   // of timestamp authorities
	maxSubjects   = 1024 // of a statement
	maxDigests    = 32   // of a subject
)
