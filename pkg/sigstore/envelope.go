package sigstore

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

const payloadType = "application/vnd.in-toto+json"

// An envelope is a DSSE envelope.
type envelope struct {
	payload     []byte
	payloadType string
	signatures  []envelopeSignature
}

type envelopeSignature struct {
	sig   []byte
	keyID string
}

func readEnvelope(o object) *envelope {
	e := &envelope{payload: o.bytes("payload"), payloadType: o.exact("payloadType")}
	for _, one := range o.objects("signatures") {
		e.signatures = append(e.signatures, envelopeSignature{one.bytes("sig"), one.text("keyid")})
		one.done()
	}
	o.done()
	return e
}

// preAuth is the pre-authentication encoding of DSSE v1: what is really signed.
func (e *envelope) preAuth() []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(e.payloadType), e.payloadType, len(e.payload), e.payload)
}

// verify verifies the one signature of the envelope with a key, in one of the schemes.
func (e *envelope) verify(key crypto.PublicKey, schemes []scheme) error {
	if len(e.signatures) != 1 {
		return fmt.Errorf("the envelope has %d signatures, not one", len(e.signatures))
	}
	s := e.signatures[0]
	if s.keyID != "" {
		// DSSE leaves open what a key ID is. Who writes one into bundles writes this, and sigstore-go asks for it.
		public, err := ssh.NewPublicKey(key)
		if err != nil {
			return fmt.Errorf("the envelope names a key ID, which this key has not: %w", err)
		}
		if id := ssh.FingerprintSHA256(public); id != s.keyID {
			return fmt.Errorf("the envelope is signed by the key %.80q, not %q", s.keyID, id)
		}
	}
	message := e.preAuth()
	for _, one := range schemes {
		if one.verify(key, message, s.sig) {
			return nil
		}
	}
	return errors.New("the signature of the envelope does not verify")
}

// statement reads the in-toto statement inside, and refuses one that is not about subject, the SHA-256 of something. An
// empty subject is not compared.
func (e *envelope) statement(subject []byte) (predicateType string, err error) {
	if e.payloadType != payloadType {
		return "", fmt.Errorf("the payload is of type %.80q, not %s", e.payloadType, payloadType)
	}
	var r reading
	o := parseObject(e.payload, &r)
	o.text("_type")
	predicateType = o.text("predicateType")
	o.object("predicate")
	subjects := o.objects("subject")
	if len(subjects) > maxSubjects {
		return "", fmt.Errorf("the statement has more than %d subjects", maxSubjects)
	}
	found := len(subject) == 0
	for _, one := range subjects {
		for algorithm, sum := range readSubject(one) {
			found = found || algorithm == "sha256" && bytes.Equal(sum, subject)
		}
	}
	o.done()
	switch {
	case r.fault != nil:
		return "", fmt.Errorf("reading the statement: %w", r.fault)
	case !found:
		return "", errors.New("the statement is about something else")
	}
	return predicateType, nil
}

// readSubject reads an in-toto resource descriptor and returns its digests.
func readSubject(o object) map[string][]byte {
	digest, _ := o.object("digest")
	if len(digest.fields) > maxDigests {
		o.r.fail("%sdigest has more than %d entries", o.path, maxDigests)
	}
	sums := map[string][]byte{}
	for algorithm, value := range digest.fields {
		text, ok := value.(string)
		sum, err := hex.DecodeString(text)
		if !ok || err != nil {
			o.r.fail("%sdigest.%.40s is no hexadecimal number", o.path, algorithm)
		}
		sums[algorithm] = sum
	}
	for _, name := range []string{"name", "uri", "downloadLocation", "mediaType"} {
		o.text(name)
	}
	o.bytes("content")
	o.object("annotations")
	o.done()
	return sums
}
