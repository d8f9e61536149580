package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// oidSCTs is the extension with the signed certificate timestamps (RFC 6962 section 3.3).
var oidSCTs = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 4, 2}

var errSCT = errors.New("the certificate: its list of signed certificate timestamps cannot be read")

// An sct is a signed certificate timestamp: the promise of a log of certificates to take one in.
type sct struct {
	logID      string
	time       uint64 // ms since 1970
	extensions []byte
	algorithm  uint16 // of hash and signature, as in TLS 1.2
	signature  []byte
}

// certified refuses a certificate that no trusted log of certificates has promised to take in.
func (t *TrustedRoot) certified(chains [][]*x509.Certificate) error {
	if len(chains) == 0 || len(chains[0]) == 0 {
		return errors.New("the certificate: there is no chain to look for in logs")
	}
	leaf := chains[0][0]
	scts, err := parseSCTs(leaf)
	if err != nil {
		return err
	}
	tbs, err := withoutSCTs(leaf.RawTBSCertificate)
	if err != nil {
		return err
	}
	for _, s := range scts {
		owner, known := t.ctLogs[s.logID]
		if !known || !owner.period.holds(time.UnixMilli(int64(s.time))) {
			continue
		}
		for _, chain := range chains {
			if len(chain) > 1 && s.verify(owner.key, chain[1], tbs) {
				return nil
			}
		}
	}
	return errors.New("the certificate: it is in no log of certificates that is trusted")
}

// parseSCTs reads the list that is embedded in a certificate.
func parseSCTs(leaf *x509.Certificate) ([]sct, error) {
	var all []sct
	for _, e := range leaf.Extensions {
		if !e.Id.Equal(oidSCTs) {
			continue
		}
		value := cryptobyte.String(e.Value)
		var octets, list cryptobyte.String
		if !value.ReadASN1(&octets, cbasn1.OCTET_STRING) || !value.Empty() ||
			!octets.ReadUint16LengthPrefixed(&list) || !octets.Empty() {
			return nil, errSCT
		}
		for !list.Empty() {
			var one cryptobyte.String
			if !list.ReadUint16LengthPrefixed(&one) {
				return nil, errSCT
			}
			s, ok := parseSCT(one)
			if !ok {
				return nil, errSCT
			}
			all = append(all, s)
		}
	}
	return all, nil
}

func parseSCT(in cryptobyte.String) (sct, bool) {
	var s sct
	var version uint8
	var id []byte
	var extensions, signature cryptobyte.String
	ok := in.ReadUint8(&version) && version == 0 && in.ReadBytes(&id, 32) && in.ReadUint64(&s.time) &&
		in.ReadUint16LengthPrefixed(&extensions) && in.ReadUint16(&s.algorithm) && in.ReadUint16LengthPrefixed(&signature) && in.Empty()
	s.logID, s.extensions, s.signature = string(id), extensions, signature
	return s, ok
}

// verify verifies the signature over the precertificate (RFC 6962 section 3.2), which is by RSA or by ECDSA on P-256, over a
// SHA-256 (section 2.1.4).
func (s sct) verify(key crypto.PublicKey, issuer *x509.Certificate, tbs []byte) bool {
	const sha256RSA, sha256ECDSA = 0x0401, 0x0403
	switch k := key.(type) {
	case *rsa.PublicKey:
		if s.algorithm != sha256RSA || k.N.BitLen() < 2048 {
			return false
		}
	case *ecdsa.PublicKey:
		if s.algorithm != sha256ECDSA || k.Curve != elliptic.P256() {
			return false
		}
	default:
		return false
	}
	var b cryptobyte.Builder
	b.AddUint8(0) // version 1
	b.AddUint8(0) // a certificate timestamp
	b.AddUint64(s.time)
	b.AddUint16(1) // of a precertificate
	b.AddBytes(sum(crypto.SHA256, issuer.RawSubjectPublicKeyInfo))
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(tbs) })
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.extensions) })
	message, err := b.Bytes()
	return err == nil && scheme{hash: crypto.SHA256}.verify(key, message, s.signature)
}

// withoutSCTs is what the log saw: the certificate without the list of timestamps that it got for it.
func withoutSCTs(tbs []byte) ([]byte, error) {
	in := cryptobyte.String(tbs)
	var fields cryptobyte.String
	if !in.ReadASN1(&fields, cbasn1.SEQUENCE) || !in.Empty() {
		return nil, errSCT
	}
	extensionsTag := cbasn1.Tag(3).ContextSpecific().Constructed()
	removed := 0
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for !fields.Empty() {
			var element cryptobyte.String
			var tag cbasn1.Tag
			if !fields.ReadAnyASN1Element(&element, &tag) {
				b.SetError(errSCT)
				return
			}
			if tag != extensionsTag {
				b.AddBytes(element)
				continue
			}
			b.AddASN1(extensionsTag, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { removed += copyExtensions(b, element, extensionsTag) })
			})
		}
	})
	out, err := b.Bytes()
	if err == nil && removed != 1 {
		err = errSCT
	}
	return out, err
}

// copyExtensions copies all extensions but the list of timestamps, and returns how many lists it left out.
func copyExtensions(b *cryptobyte.Builder, element cryptobyte.String, tag cbasn1.Tag) (removed int) {
	var explicit, list cryptobyte.String
	if !element.ReadASN1(&explicit, tag) || !explicit.ReadASN1(&list, cbasn1.SEQUENCE) || !explicit.Empty() {
		b.SetError(errSCT)
		return 0
	}
	for !list.Empty() {
		var extension, inner cryptobyte.String
		var oid asn1.ObjectIdentifier
		if !list.ReadASN1Element(&extension, cbasn1.SEQUENCE) {
			b.SetError(errSCT)
			return removed
		}
		whole := extension
		if !whole.ReadASN1(&inner, cbasn1.SEQUENCE) || !inner.ReadASN1ObjectIdentifier(&oid) {
			b.SetError(errSCT)
			return removed
		}
		if oid.Equal(oidSCTs) {
			removed++
			continue
		}
		b.AddBytes(extension)
	}
	return removed
}
