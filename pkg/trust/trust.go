// Package trust decides what may run: it signs bundles and channel pointers, and it verifies them against a root
// document that says which keys may sign what.
//
// Signatures are DSSE envelopes around in-toto statements in Sigstore bundles v0.3, attached to manifests as OCI 1.1
// referrers; cosign makes and accepts the same. Trust in a pointer follows the rules of TUF and Uptane against
// rollback, freeze and equivocation.
//
// It refuses to talk to registries (it is handed a bundle.Source), to read keys from files (it is handed bytes), to ask
// for the time (it is handed a clock), to use the network for verification, and to accept a signature that was made
// for another purpose: the predicate type is part of what is signed and is always compared.
package trust

import "vigo.dev/pkg/bundle"

// A Refusal says why something was not accepted. Errors that are no refusal mean that it could not be looked at.
type Refusal = bundle.Refusal

// The predicate types of what is signed.
const (
	SignPredicate = "https://sigstore.dev/cosign/sign/v1" // a manifest, as `cosign sign` does
	RootPredicate = "https://vigo.dev/root/v1"            // a root document
)

// The limits of documents that come from a registry.
const (
	maxSignature  = 256 << 10 // bytes of one Sigstore bundle
	maxCarrier    = 256 << 10 // bytes of the manifest that carries signatures
	maxSignatures = 64        // signatures that are looked at for one thing
)
