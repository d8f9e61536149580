package sigstore

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The extensions of Fulcio certificates that are read (github.com/sigstore/fulcio docs/oid-info.md), and that of names.
var (
	oidIssuerV1  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1} // the text itself
	oidIssuerV2  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8} // in DER
	oidOtherName = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 7}
	oidSubject   = asn1.ObjectIdentifier{2, 5, 29, 17}
)

// chains verifies a certificate at a time, and returns the ways from it to the root of an authority.
func (t *TrustedRoot) chains(leaf *x509.Certificate, at time.Time) ([][]*x509.Certificate, error) {
	err := errors.New("no certificate authority could have issued it")
	for _, a := range t.authorities {
		if !a.period.holds(at) {
			continue
		}
		roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(a.root())
		for _, c := range a.chain[:len(a.chain)-1] {
			intermediates.AddCert(c)
		}
		chains, failed := leaf.Verify(x509.VerifyOptions{
			CurrentTime: at, Roots: roots, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		})
		if failed == nil {
			return chains, nil
		}
		err = failed
	}
	return nil, fmt.Errorf("the certificate: %w", err)
}

// parseLeaf reads the certificate of an identity.
func parseLeaf(der []byte) (*x509.Certificate, Identity, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, Identity{}, err
	}
	issuer, err := issuerOf(leaf)
	if err != nil {
		return nil, Identity{}, err
	}
	id := Identity{Issuer: issuer}
	switch {
	case len(leaf.URIs) > 0:
		id.Subject = leaf.URIs[0].String()
	case len(leaf.EmailAddresses) > 0:
		id.Subject = leaf.EmailAddresses[0]
	}
	if id.Subject == "" {
		if id.Subject, err = otherName(leaf); err != nil {
			return nil, Identity{}, err
		}
	}
	// crypto/x509 does not know names of this kind; they are handled now.
	var rest []asn1.ObjectIdentifier
	for _, oid := range leaf.UnhandledCriticalExtensions {
		if !oid.Equal(oidSubject) {
			rest = append(rest, oid)
		}
	}
	leaf.UnhandledCriticalExtensions = rest
	return leaf, id, nil
}

// issuerOf is who vouched for the identity; empty when the certificate does not say.
func issuerOf(leaf *x509.Certificate) (string, error) {
	issuer := ""
	for _, e := range leaf.Extensions {
		text := ""
		switch {
		case e.Id.Equal(oidIssuerV1):
			text = string(e.Value)
		case e.Id.Equal(oidIssuerV2):
			if rest, err := asn1.Unmarshal(e.Value, &text); err != nil || len(rest) > 0 {
				return "", errors.New("the issuer that the certificate names is no text")
			}
		default:
			continue
		}
		if issuer != "" && issuer != text {
			return "", errors.New("the certificate names two issuers")
		}
		issuer = text
	}
	return issuer, nil
}

// otherName is the one name of the kind that Fulcio gives to users who have neither a URI nor an email address: OtherName
// of RFC 5280 section 4.2.1.6 with a UTF8String.
func otherName(leaf *x509.Certificate) (string, error) {
	var names []string
	bad := errors.New("the certificate names nobody: no URI, no email address, no name of a user")
	for _, e := range leaf.Extensions {
		if !e.Id.Equal(oidSubject) {
			continue
		}
		all := cryptobyte.String(e.Value)
		var sequence cryptobyte.String
		if !all.ReadASN1(&sequence, cbasn1.SEQUENCE) || !all.Empty() {
			return "", bad
		}
		for !sequence.Empty() {
			var name, value, text cryptobyte.String
			var tag cbasn1.Tag
			var kind asn1.ObjectIdentifier
			if !sequence.ReadAnyASN1(&name, &tag) {
				return "", bad
			}
			if tag != cbasn1.Tag(0).ContextSpecific().Constructed() {
				continue
			}
			if !name.ReadASN1ObjectIdentifier(&kind) || !kind.Equal(oidOtherName) ||
				!name.ReadASN1(&value, cbasn1.Tag(0).ContextSpecific().Constructed()) || !name.Empty() ||
				!value.ReadASN1(&text, cbasn1.UTF8String) || !value.Empty() {
				return "", bad
			}
			names = append(names, string(text))
		}
	}
	if len(names) != 1 || names[0] == "" {
		return "", bad
	}
	return names[0], nil
}
