package sigstore

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/url"
	"testing"
	"time"

	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"

	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/testing/data"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// Who a certificate is of is read as sigstore-go reads it.
func TestIdentitiesOfCertificates(t *testing.T) {
	t.Parallel()
	v1 := func(issuer string) pkix.Extension { return pkix.Extension{Id: oidIssuerV1, Value: []byte(issuer)} }
	v2 := func(issuer string) pkix.Extension {
		value, err := asn1.Marshal(issuer)
		if err != nil {
			t.Fatal(err)
		}
		return pkix.Extension{Id: oidIssuerV2, Value: value}
	}
	user, err := cryptoutils.MarshalOtherNameSAN("someone!example.com", true)
	if err != nil {
		t.Fatal(err)
	}
	address, _ := url.Parse("https://github.com/acme/policy/.github/workflows/release.yml@refs/heads/main")
	garbage := func(e pkix.Extension, value ...byte) pkix.Extension { e.Value = value; return e }
	for name, one := range map[string]struct {
		template x509.Certificate
		want     Identity // empty: refused
		stricter bool     // than sigstore-go
	}{
		"email":            {template: x509.Certificate{EmailAddresses: []string{"a@example.com"}, ExtraExtensions: []pkix.Extension{v1("i")}}, want: Identity{"i", "a@example.com"}},
		"workflow":         {template: x509.Certificate{URIs: []*url.URL{address}, ExtraExtensions: []pkix.Extension{v2("i")}}, want: Identity{"i", address.String()}},
		"both issuers":     {template: x509.Certificate{EmailAddresses: []string{"a@example.com"}, ExtraExtensions: []pkix.Extension{v1("i"), v2("i")}}, want: Identity{"i", "a@example.com"}},
		"user":             {template: x509.Certificate{ExtraExtensions: []pkix.Extension{v2("i"), *user}}, want: Identity{"i", "someone!example.com"}},
		"two issuers":      {template: x509.Certificate{EmailAddresses: []string{"a@example.com"}, ExtraExtensions: []pkix.Extension{v1("i"), v2("other")}}, stricter: true},
		"no text":          {template: x509.Certificate{EmailAddresses: []string{"a@example.com"}, ExtraExtensions: []pkix.Extension{garbage(v2(""), 1, 2)}}},
		"text and more":    {template: x509.Certificate{EmailAddresses: []string{"a@example.com"}, ExtraExtensions: []pkix.Extension{garbage(v2(""), 0x0c, 1, 'i', 0)}}},
		"nobody":           {template: x509.Certificate{ExtraExtensions: []pkix.Extension{v1("i")}}},
		"a host":           {template: x509.Certificate{DNSNames: []string{"example.com"}, ExtraExtensions: []pkix.Extension{v1("i")}}},
		"a user cut short": {template: x509.Certificate{ExtraExtensions: []pkix.Extension{v1("i"), garbage(*user, user.Value[:len(user.Value)-1]...)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			der := certify(t, one.template)
			_, got, err := parseLeaf(der)
			if (err == nil) != (one.want != Identity{}) || got != one.want {
				t.Errorf("got %v, %v", got, err)
			}
			theirs, failed := summarize(der)
			if failed == nil && one.stricter {
				return
			}
			if (failed == nil) != (err == nil) || theirs != one.want {
				t.Errorf("sigstore-go says %v, %v", theirs, failed)
			}
		})
	}
}

func summarize(der []byte) (Identity, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Identity{}, err
	}
	s, err := certificate.SummarizeCertificate(c)
	return Identity{s.Issuer, s.SubjectAlternativeName}, err
}

func certify(t *testing.T, template x509.Certificate) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), noon, noon.Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// What Fulcio issued to a user who has neither a URI nor an email address.
func TestTheNameOfAUser(t *testing.T) {
	t.Parallel()
	content, err := data.Bundle(t, "othername.sigstore.json").VerificationContent()
	if err != nil {
		t.Fatal(err)
	}
	leaf, got, err1 := parseLeaf(content.Certificate().Raw)
	want, err2 := summarize(content.Certificate().Raw)
	if err := errors.Join(err1, err2); err != nil || got != want || got.Subject == "" || got.Issuer == "" {
		t.Errorf("got %v, want %v, %v", got, want, err)
	}
	if len(leaf.UnhandledCriticalExtensions) > 0 {
		t.Error("the name counts as not handled")
	}
	t.Log(got)
}
