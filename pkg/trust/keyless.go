package trust

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/sigstore"
)

// An Identity is who a keyless signature is by: somebody whom an OpenID Connect issuer has vouched for to a Sigstore
// certificate authority. Both are compared as they are, letter by letter; there are no patterns, since a pattern that is
// too wide trusts strangers.
type Identity struct {
	Issuer  string `json:"issuer"`  // such as https://token.actions.githubusercontent.com
	Subject string `json:"subject"` // subject alternative name of the certificate: an email address or a URI
}

// ID is the name of the identity in root documents. It has the form of a key's ID.
func (i Identity) ID() string {
	sum := sha256.Sum256([]byte("sigstore identity\n" + i.Issuer + "\n" + i.Subject))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// String names the identity for people.
func (i Identity) String() string { return i.Subject + " (" + i.Issuer + ")" }

// maxIdentity bounds issuer and subject, in bytes.
const maxIdentity = 1 << 10

func (i Identity) validate() error {
	if i.Issuer == "" || i.Subject == "" || len(i.Issuer) > maxIdentity || len(i.Subject) > maxIdentity {
		return fmt.Errorf("an identity needs an issuer and a subject of at most %d bytes each", maxIdentity)
	}
	return nil
}

// PinSigstore makes the trusted_root.json of a Sigstore instance part of the document: it vouches for the identities among
// the keys. One with which nothing could be verified is refused.
func (r *Root) PinSigstore(trustedRoot []byte) error {
	if _, err := parseTrustedRoot(trustedRoot); err != nil {
		return err
	}
	flat, err := flatJSON(trustedRoot)
	if err != nil {
		return &Refusal{Name: bundle.BadFormat, Detail: oneLine(err), What: "the Sigstore trusted root"}
	}
	r.TrustedRoot = flat
	return nil
}

// flatJSON is a document in the form that it has in a root document: equal content, equal bytes.
func flatJSON(doc []byte) ([]byte, error) { return json.Marshal(json.RawMessage(doc)) }

// keyless refuses a root whose identities could not be verified, or are trusted with more than bundles: who signs root
// documents, pointers and approvals must not depend on what others log in with.
func (r Root) keyless() error {
	if len(r.TrustedRoot) > 0 {
		if _, err := parseTrustedRoot(r.TrustedRoot); err != nil {
			return err
		}
	}
	for name, role := range r.Roles {
		for _, id := range role.Keys {
			k := r.Keys[id]
			if k.Identity == nil {
				continue
			}
			switch err := k.Identity.validate(); {
			case err != nil:
				return fmt.Errorf("key %s: %w", id, err)
			case name != RoleBundle:
				return fmt.Errorf("role %s lists the identity %.200s, which may sign bundles alone", name, k.Identity)
			case len(r.TrustedRoot) == 0:
				return fmt.Errorf("role %s lists the identity %.200s, and there is no Sigstore trusted root to verify it with", name, k.Identity)
			}
		}
	}
	return nil
}

// NewKeylessVerifier verifies bundles against one identity. trustedRoot is the trusted_root.json of the Sigstore instance
// that vouches for it: certificate authorities, transparency logs and timestamp authorities. Nothing is fetched.
func NewKeylessVerifier(trustedRoot []byte, id Identity, now func() time.Time) (*Verifier, error) {
	if err := id.validate(); err != nil {
		return nil, err
	}
	if _, err := parseTrustedRoot(trustedRoot); err != nil {
		return nil, err
	}
	r := Root{Version: 1, TrustedRoot: trustedRoot}
	r.Grant(RoleBundle, 1, Key{Identity: &id})
	v := NewVerifier(r, now)
	v.name = "the one that was given"
	return v, nil
}

// parseTrustedRoot reads a trusted_root.json and refuses one with which no keyless signature could be verified: short-lived
// certificates need somebody who says when they were used.
func parseTrustedRoot(data []byte) (*sigstore.TrustedRoot, error) {
	bad := func(detail string) error {
		return &Refusal{Name: bundle.BadFormat, Detail: detail, What: "the Sigstore trusted root"}
	}
	if len(data) > maxRoot {
		return nil, bad(fmt.Sprintf("it has more than %d bytes", maxRoot))
	}
	tr, err := sigstore.ParseTrustedRoot(data)
	switch {
	case err != nil:
		return nil, bad(oneLine(err))
	case !tr.Certifies():
		return nil, bad("it names no certificate authority")
	case !tr.Witnesses():
		return nil, bad("it names neither a transparency log nor a timestamp authority")
	}
	return tr, nil
}

// verifyKeyless verifies a Sigstore bundle that carries a certificate with the identities among keys.
func verifyKeyless(b *sigstore.Bundle, subject []byte, keys []Key, now time.Time) (signed, error) {
	trusted := slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return k.Identity == nil })
	if len(trusted) == 0 {
		return signed{}, &Refusal{Name: bundle.WrongKey, Detail: "it is signed with a certificate, by an identity and not by a key, and no identity is trusted for this"}
	}
	tr, err := parseTrustedRoot(trusted[0].pinned)
	if err != nil {
		return signed{}, err
	}
	s, err := b.VerifyKeyless(tr, subject)
	if err != nil {
		return signed{}, &Refusal{Name: bundle.BadSignature, Detail: "the keyless signature does not verify: " + oneLine(err)}
	}
	for _, k := range trusted {
		if *k.Identity == Identity(s.Signer) {
			return signed{Key: k, PredicateType: s.PredicateType, Payload: b.Payload()}, k.usable(now)
		}
	}
	return signed{}, &Refusal{Name: bundle.WrongKey,
		Detail: fmt.Sprintf("it is signed by an identity that is not trusted for this: %.200s, not %.200s", Identity(s.Signer), trusted[0].Identity)}
}
