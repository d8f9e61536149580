package sigstore_test

import (
	"crypto"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"vigo.dev/pkg/sigstore"
)

// A question is what both verifiers are asked: whether a bundle is signed by somebody and about subject.
type question struct {
	raw         []byte
	subject     []byte           // SHA-256; empty: about anything
	key         crypto.PublicKey // who must have signed it, or
	trustedRoot []byte           // what makes the identity known
	signer      sigstore.Identity
}

var errStranger = errors.New("it is signed by somebody else")

// ours is the answer of this package.
func ours(q question) (predicateType string, err error) {
	b, err := sigstore.ParseBundle(q.raw)
	if err != nil {
		return "", err
	}
	if q.key != nil {
		s, err := b.VerifyKey(q.key, q.subject)
		return s.PredicateType, err
	}
	t, err := sigstore.ParseTrustedRoot(q.trustedRoot)
	if err != nil {
		return "", err
	}
	if !t.Certifies() || !t.Witnesses() {
		return "", errors.New("with this trusted root nothing can be verified")
	}
	s, err := b.VerifyKeyless(t, q.subject)
	if err == nil && s.Signer != q.signer {
		err = errStranger
	}
	return s.PredicateType, err
}

// judge is the answer of sigstore-go.
func judge(q question) (predicateType string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("sigstore-go panics: %v", p)
		}
	}()
	var b bundle.Bundle
	if err := b.UnmarshalJSON(q.raw); err != nil {
		return "", err
	}
	artifact := verify.WithoutArtifactUnsafe()
	if len(q.subject) > 0 {
		artifact = verify.WithArtifactDigest("sha256", q.subject)
	}
	if q.key != nil {
		return judgeKey(&b, q.key, artifact)
	}
	material, err := root.NewTrustedRootFromJSON(q.trustedRoot)
	if err != nil {
		return "", err
	}
	demands := []verify.VerifierOption{verify.WithObserverTimestamps(1)}
	if len(material.RekorLogs()) > 0 {
		demands = append(demands, verify.WithTransparencyLog(1))
	}
	if len(material.CTLogs()) > 0 {
		demands = append(demands, verify.WithSignedCertificateTimestamps(1))
	}
	v, err := verify.NewVerifier(material, demands...)
	if err != nil {
		return "", err
	}
	id, err := verify.NewShortCertificateIdentity(q.signer.Issuer, "", q.signer.Subject, "")
	if err != nil {
		return "", err
	}
	res, err := v.Verify(&b, verify.NewPolicy(artifact, verify.WithCertificateIdentity(id)))
	if err != nil {
		return "", err
	}
	return res.Statement.GetPredicateType(), nil
}

func judgeKey(b *bundle.Bundle, key crypto.PublicKey, artifact verify.ArtifactPolicyOption) (predicateType string, err error) {
	verifiers, err := keyVerifiers(key)
	if err != nil {
		return "", err
	}
	for _, one := range verifiers {
		material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) { return one, nil })
		v, failed := verify.NewVerifier(material, verify.WithCurrentTime())
		if failed != nil {
			return "", failed
		}
		res, failed := v.Verify(b, verify.NewPolicy(artifact, verify.WithKey()))
		if failed == nil {
			return res.Statement.GetPredicateType(), nil
		}
		err = errors.Join(err, failed)
	}
	return "", err
}

func keyVerifiers(key crypto.PublicKey) ([]*root.ExpiringKey, error) {
	plain, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, err
	}
	all := []signature.Verifier{plain}
	if _, ok := key.(ed25519.PublicKey); ok {
		prehashed, err := signature.LoadVerifierWithOpts(key, options.WithED25519ph(), options.WithHash(crypto.SHA512))
		if err != nil {
			return nil, err
		}
		all = append(all, prehashed)
	}
	var keys []*root.ExpiringKey
	for _, one := range all {
		keys = append(keys, root.NewExpiringKey(one, noTime, noTime))
	}
	return keys, nil
}

// differ says how the two answers differ; empty when they do not. Where this package refuses more, stricter says why.
func differ(q question) string {
	got, ourErr := ours(q)
	want, judgeErr := judge(q)
	switch {
	case ourErr == nil && judgeErr != nil:
		return fmt.Sprintf("ACCEPTED, and sigstore-go says: %v", judgeErr)
	case ourErr == nil && got != want:
		return fmt.Sprintf("verified as %q, by sigstore-go as %q", got, want)
	case ourErr != nil && judgeErr == nil && !stricter(ourErr):
		return fmt.Sprintf("sigstore-go accepts it: %v", ourErr)
	}
	return ""
}

// stricter says whether this package alone refuses something, and means to.
func stricter(err error) bool {
	return slices.ContainsFunc([]string{
		"as the entry says",          // kindVersion must be that of the body
		"is about another signature", // the body of Rekor v2 is compared, byte by byte,
		"spec.hashedRekordV002",      // and must be whole
		"is no integer of 64 bits",   // 1e0 is none
	}, func(why string) bool { return strings.Contains(err.Error(), why) })
}
