package sigstore

import (
	"errors"
	"fmt"
)

// A Bundle is a Sigstore bundle that was read and not verified yet.
type Bundle struct {
	hint       string // of the key
	leaf       []byte // DER of the certificate; nil when it was signed with a key
	envelope   *envelope
	entries    []entry
	timestamps [][]byte // RFC 3161
}

// ParseBundle reads the JSON of a bundle and refuses what is not whole.
func ParseBundle(data []byte) (*Bundle, error) {
	var r reading
	o := parseObject(data, &r)
	version, err := versionOf(o.text("mediaType"))
	if r.fault != nil {
		return nil, r.fault
	}
	if err != nil {
		return nil, err
	}
	b := &Bundle{}
	message, isMessage := o.object("messageSignature")
	skipMessage(message)
	dsse, isEnvelope := o.object("dsseEnvelope")
	if isEnvelope {
		b.envelope = readEnvelope(dsse)
	}
	if isMessage == isEnvelope {
		r.fail("it holds not one of a DSSE envelope and a message signature")
	}
	material, _ := o.object("verificationMaterial")
	o.done()
	b.readMaterial(material, version)
	if r.fault != nil {
		return nil, r.fault
	}
	return b, b.witnessed(version)
}

// versionOf is the minor number of the version that a media type names.
func versionOf(mediaType string) (int, error) {
	switch mediaType {
	case "application/vnd.dev.sigstore.bundle+json;version=0.1", "application/vnd.dev.sigstore.bundle.v0.1+json":
		return 1, nil
	case "application/vnd.dev.sigstore.bundle+json;version=0.2", "application/vnd.dev.sigstore.bundle.v0.2+json":
		return 2, nil
	case "application/vnd.dev.sigstore.bundle+json;version=0.3", "application/vnd.dev.sigstore.bundle.v0.3+json":
		return 3, nil
	}
	return 0, fmt.Errorf("the media type %.120q is not that of a bundle from v0.1 to v0.3", mediaType)
}

// skipMessage reads a message signature, which nothing here verifies.
func skipMessage(o object) {
	digest, _ := o.object("messageDigest")
	digest.text("algorithm")
	digest.bytes("digest")
	digest.done()
	o.bytes("signature")
	o.done()
}

func (b *Bundle) readMaterial(o object, version int) {
	key, keyed := o.object("publicKey")
	b.hint = key.text("hint")
	key.done()
	certificate, certified := o.object("certificate")
	leaf := certificate.bytes("rawBytes")
	certificate.done()
	chain, chained := o.object("x509CertificateChain")
	for i, one := range chain.objects("certificates") {
		if raw := one.bytes("rawBytes"); i == 0 {
			leaf = raw
		}
		one.done()
	}
	chain.done()
	switch n := count(keyed, certified, chained); {
	case n != 1:
		o.r.fail("it names %d of a key, a certificate and a chain of certificates, not one", n)
	case chained && version >= 3:
		o.r.fail("from v0.3 on it must not hold a chain of certificates")
	case !keyed && len(leaf) == 0:
		o.r.fail("the certificate is empty")
	}
	b.leaf = leaf
	for _, one := range o.objects("tlogEntries") {
		if b.entries = append(b.entries, readEntry(one)); len(b.entries) > maxEntries {
			o.r.fail("it holds more than %d entries of logs", maxEntries)
			return
		}
	}
	stamps, _ := o.object("timestampVerificationData")
	for _, one := range stamps.objects("rfc3161Timestamps") {
		b.timestamps = append(b.timestamps, one.bytes("signedTimestamp"))
		one.done()
	}
	stamps.done()
	o.done()
}

func count(conditions ...bool) int {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n
}

// witnessed refuses entries without what the version asks for: v0.1 a promise of the log to include one, later versions the
// proof that it did.
func (b *Bundle) witnessed(version int) error {
	if len(b.entries) == 0 {
		return nil
	}
	for _, e := range b.entries {
		if version == 1 && len(e.promise) > 0 || version > 1 && e.proof != nil {
			return nil
		}
	}
	if version == 1 {
		return errors.New("no entry holds the promise of a log, as v0.1 asks for")
	}
	return errors.New("no entry holds a proof of inclusion, as is asked for from v0.2 on")
}

// Keyless says whether the bundle was signed with a certificate.
func (b *Bundle) Keyless() bool { return len(b.leaf) > 0 }

// Hint is what the bundle says about the key it was signed with. It is not part of what is signed.
func (b *Bundle) Hint() string { return b.hint }

// Envelope says whether the bundle holds a DSSE envelope. Others are read and never verify.
func (b *Bundle) Envelope() bool { return b.envelope != nil }

// Payload is what a DSSE envelope holds, not verified.
func (b *Bundle) Payload() []byte {
	if b.envelope == nil {
		return nil
	}
	return b.envelope.payload
}
