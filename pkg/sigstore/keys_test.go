package sigstore_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"golang.org/x/crypto/ssh"
)

// Each change to a bundle that was signed with a key is judged as sigstore-go judges it.
func TestChangesToKeyedBundlesAreJudgedAsBySigstoreGo(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	small, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	large, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct {
		key    crypto.PublicKey
		signer crypto.Signer
		hash   crypto.Hash
	}{
		"P-256":     {small.Public(), small, crypto.SHA256},
		"P-384":     {large.Public(), large, crypto.SHA384},
		"Ed25519":   {public, private, 0},
		"Ed25519ph": {public, private, crypto.SHA512},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := tribunal{t: t}
			c.changes(keyed(t, one.key, one.signer, one.hash))
			t.Logf("%d questions, %d of them with a yes", c.all, c.accepted)
		})
	}
}

// keyed is a bundle that was signed with a key.
func keyed(t testing.TB, key crypto.PublicKey, signer crypto.Signer, hash crypto.Hash) question {
	t.Helper()
	subject, statement := content()
	const payloadType = "application/vnd.in-toto+json"
	message := fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(payloadType), payloadType, len(statement), statement)
	if hash != 0 {
		h := hash.New()
		h.Write(message)
		message = h.Sum(nil)
	}
	sig, err := signer.Sign(rand.Reader, message, hash)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{
		"mediaType":            "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{"publicKey": map[string]any{"hint": "which"}},
		"dsseEnvelope": map[string]any{"payload": statement, "payloadType": payloadType,
			"signatures": []any{map[string]any{"sig": sig, "keyid": ssh.FingerprintSHA256(public)}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return question{raw: raw, subject: subject, key: key}
}

// The keys of identities may be of several algorithms; some are judged as bad in one log, and good in the other.
func TestAlgorithmsAreJudgedAsBySigstoreGo(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []protocommon.PublicKeyDetails{
		p256, protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384, protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512,
		//lint:ignore SA1019 keys of these kinds are refused, and the test names them
		protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_256, protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_256, //nolint:staticcheck // old clients
		protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256, protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256,
		protocommon.PublicKeyDetails_PKIX_ED25519_PH,
	} {
		for _, v2 := range []bool{false, true} {
			if name := algorithm.String(); !v2 && !(strings.Contains(name, "ECDSA") && strings.HasSuffix(name, "SHA_256")) {
				continue // the virtual instance cannot
			}
			t.Run(fmt.Sprintf("%s, v2 %t", algorithm, v2), func(t *testing.T) {
				t.Parallel()
				q := virtual(t, algorithm, v2)
				if why := differ(q); why != "" {
					t.Error(why)
				}
				_, err := ours(q)
				t.Log(err)
			})
		}
	}
}

// FuzzBundle asks both about bundles that nobody has signed.
func FuzzBundle(f *testing.F) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	q := keyed(f, public, private, 0)
	f.Add(q.raw)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":null}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		changed := q
		changed.raw = raw
		if why := differ(changed); why != "" {
			t.Error(why)
		}
	})
}
