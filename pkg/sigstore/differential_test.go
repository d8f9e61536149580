package sigstore_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/testing/data"

	"vigo.dev/pkg/sigstore"
	"vigo.dev/pkg/sigstore/sigstoretest"
)

var (
	noTime  time.Time
	someone = sigstore.Identity{Issuer: "https://issuer.example", Subject: "someone@example.com"}
)

// real is what the public instance made in 2023: a certificate that is in a log of certificates, and long past its ten
// minutes.
func real(t *testing.T) question {
	t.Helper()
	raw, err := data.Bundle(t, "sigstore.js@2.0.0-provenance.sigstore.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	trustedRoot, err := data.TrustedRoot(t, "public-good.json").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return question{raw: raw, trustedRoot: trustedRoot, signer: sigstore.Identity{Issuer: "https://token.actions.githubusercontent.com",
		Subject: "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main"}}
}

// virtual is what an instance made now, with Rekor v1 or v2.
func virtual(t *testing.T, algorithm protocommon.PublicKeyDetails, v2 bool) question {
	t.Helper()
	s, err := sigstoretest.NewWith(algorithm)
	if err != nil {
		t.Fatal(err)
	}
	q := question{signer: someone}
	if q.trustedRoot, err = s.TrustedRoot(); err != nil {
		t.Fatal(err)
	}
	subject, statement := content()
	q.subject = subject
	sign := s.SignPromised
	if v2 {
		sign = s.SignV2
	}
	q.raw, err = sign(statement, someone, time.Now().Add(5*time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// content is the digest of something, and a statement about it.
func content() (subject, statement []byte) {
	sum := sha256.Sum256([]byte("content"))
	return sum[:], sigstoretest.Statement(fmt.Sprintf("sha256:%x", sum), "https://example.com/v1")
}

const p256 = protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256

// A tribunal asks both.
type tribunal struct {
	t             *testing.T
	all, accepted int
}

func (c *tribunal) ask(what string, q question) {
	if why := differ(q); why != "" {
		c.t.Errorf("%s: %s", what, why)
	}
	if _, err := ours(q); err == nil {
		c.accepted++
	}
	c.all++
}

// changes asks about each change to a bundle.
func (c *tribunal) changes(q question) {
	if _, err := ours(q); err != nil {
		c.t.Fatal(err)
	}
	c.ask("as it is", q)
	for _, m := range mutants(q.raw) {
		changed := q
		changed.raw = m.doc
		c.ask(m.what, changed)
	}
}

// Each change to a bundle, or to the trusted root it is verified with, is judged as sigstore-go judges it.
func TestChangesAreJudgedAsBySigstoreGo(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*testing.T) question{
		"real": real,
		"v1":   func(t *testing.T) question { return virtual(t, p256, false) },
		"v2":   func(t *testing.T) question { return virtual(t, p256, true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, c := make(t), tribunal{t: t}
			c.changes(q)
			for i, m := range mutants(q.trustedRoot) {
				if name != "v1" && i%4 > 0 {
					continue // these take long, and are much like those of v1
				}
				changed := q
				changed.trustedRoot = m.doc
				c.ask("trusted root: "+m.what, changed)
			}
			t.Logf("%d questions, %d of them with a yes", c.all, c.accepted)
		})
	}
}

// What a bundle holds may come from another.
func TestPartsOfOthersAreJudgedAsBySigstoreGo(t *testing.T) {
	t.Parallel()
	one, other := virtual(t, p256, false), virtual(t, p256, false)
	var a, b map[string]json.RawMessage
	if json.Unmarshal(one.raw, &a) != nil || json.Unmarshal(other.raw, &b) != nil {
		t.Fatal("no JSON")
	}
	for name := range a {
		was := a[name]
		a[name] = b[name]
		raw, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if why := differ(question{raw: raw, trustedRoot: one.trustedRoot, signer: someone}); why != "" {
			t.Errorf("%s: %s", name, why)
		}
		a[name] = was
	}
}

// What is too much for one is too much for the other.
func TestLimitsAreThoseOfSigstoreGo(t *testing.T) {
	t.Parallel()
	q := virtual(t, p256, false)
	for n, want := range map[int]bool{2: true, 32: true, 33: false} {
		for _, name := range []string{"tlogEntries", "rfc3161Timestamps"} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				t.Parallel()
				many := q
				many.raw = repeated(t, q.raw, name, n)
				if why := differ(many); why != "" {
					t.Error(why)
				}
				if _, err := ours(many); (err == nil) != want {
					t.Error(err)
				}
			})
		}
	}
}

// repeated repeats what a list of the verification material holds. Entries of logs get numbers of their own in another log,
// since one may not be there twice.
func repeated(t *testing.T, raw []byte, name string, n int) []byte {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	material := doc["verificationMaterial"].(map[string]any)
	if name == "rfc3161Timestamps" {
		material = material["timestampVerificationData"].(map[string]any)
	}
	list := material[name].([]any)
	for i := len(list); i < n; i++ {
		one := maps.Clone(list[0].(map[string]any))
		if name == "tlogEntries" {
			one["logId"], one["logIndex"] = map[string]any{"keyId": "b3RoZXI="}, i
		}
		list = append(list, one)
	}
	material[name] = list
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
