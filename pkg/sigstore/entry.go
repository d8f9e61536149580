package sigstore

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"slices"
)

// An entry is what a transparency log keeps about a signature, with how it proves that it does.
type entry struct {
	logID    string
	index    int64  // in the log
	time     int64  // Unix time at which the log took it in; 0: it does not say
	promise  []byte // signature of the log over all of this (signed entry timestamp); empty: none
	proof    *inclusion
	body     []byte // what the log keeps, canonical JSON
	recorded *recorded
}

// An inclusion is the path from an entry to the root of the Merkle tree of a log.
type inclusion struct {
	index, size int64
	root        []byte
	hashes      [][]byte
	checkpoint  string // signed note about the root
}

// recorded is what the body of an entry of Rekor v1 says. That of Rekor v2 is made once more from what the bundle holds, and
// compared.
type recorded struct {
	signature   []byte
	certificate []byte // DER
	payload     []byte // SHA-256 of the payload
}

func readEntry(o object) entry {
	e := entry{index: o.int("logIndex"), time: o.int("integratedTime"), body: o.bytes("canonicalizedBody")}
	id, _ := o.object("logId")
	e.logID = string(id.bytes("keyId"))
	id.done()
	promise, _ := o.object("inclusionPromise")
	e.promise = promise.bytes("signedEntryTimestamp")
	promise.done()
	if proof, there := o.object("inclusionProof"); there {
		e.proof = readInclusion(proof)
	}
	kind, _ := o.object("kindVersion")
	e.readBody(o, kind.text("kind"), kind.text("version"))
	kind.done()
	o.done()
	if e.logID == "" || e.index < 0 {
		o.r.fail("%slogId is empty, or logIndex negative", o.path)
	}
	return e
}

func readInclusion(o object) *inclusion {
	p := &inclusion{index: o.int("logIndex"), size: o.int("treeSize"), root: o.bytes("rootHash"), hashes: o.manyBytes("hashes")}
	checkpoint, _ := o.object("checkpoint")
	p.checkpoint = checkpoint.text("envelope")
	checkpoint.done()
	o.done()
	if p.checkpoint == "" {
		o.r.fail("%scheckpoint is empty", o.path)
	}
	return p
}

// readBody reads the body of an entry of one of the kinds there are for envelopes.
func (e *entry) readBody(o object, kind, version string) {
	body := parseObject(e.body, o.r)
	body.path = o.path + "canonicalizedBody."
	if k, v := body.text("kind"), body.text("apiVersion"); k != kind || v != version {
		o.r.fail("%skind is %.40q %.40q, not %.40q %.40q as the entry says", body.path, k, v, kind, version)
	}
	spec, _ := body.object("spec")
	switch kind + " " + version {
	case "dsse 0.0.1":
		e.recorded = readDSSE(spec)
	case "intoto 0.0.2":
		e.recorded = readInToto(spec)
	case "hashedrekord 0.0.2":
		readHashed(spec)
		body.done()
	default:
		o.r.fail("%skindVersion: entries %.40q %.40q are not about envelopes", o.path, kind, version)
	}
}

func readDSSE(spec object) *recorded {
	rec := &recorded{payload: readHash(spec, "payloadHash")}
	readHash(spec, "envelopeHash")
	if _, proposed := spec.object("proposedContent"); proposed {
		spec.r.fail("%sproposedContent: the entry is a proposal", spec.path)
	}
	for i, one := range spec.objects("signatures") {
		if i > 0 {
			break // as in sigstore-go, the first counts
		}
		rec.signature, rec.certificate = one.bytes("signature"), block(one, one.bytes("verifier"))
	}
	rec.whole(spec)
	return rec
}

func readInToto(spec object) *recorded {
	content, _ := spec.object("content")
	rec := &recorded{payload: readHash(content, "payloadHash")}
	envelope, _ := content.object("envelope")
	if envelope.text("payloadType") == "" || envelope.text("payload") != "" {
		envelope.r.fail("%s is not the envelope of an entry", envelope.path)
	}
	for i, one := range envelope.objects("signatures") {
		if i > 0 {
			break
		}
		inner, err := base64.StdEncoding.DecodeString(string(one.bytes("sig"))) // twice in base64, by mistake
		if err != nil {
			one.r.fail("%ssig: %w", one.path, err)
		}
		rec.signature, rec.certificate = inner, block(one, one.bytes("publicKey"))
	}
	rec.whole(spec)
	return rec
}

// readHashed looks whether an entry of Rekor v2 is whole.
func readHashed(spec object) {
	hashed, _ := spec.object("hashedRekordV002")
	data, _ := hashed.object("data")
	oneOf(data, "algorithm", "SHA2_256", "SHA2_384", "SHA2_512")
	digest := data.bytes("digest")
	data.done()
	signature, _ := hashed.object("signature")
	content := signature.bytes("content")
	verifier, _ := signature.object("verifier")
	oneOf(verifier, "keyDetails", "PKIX_ECDSA_P256_SHA_256", "PKIX_ECDSA_P384_SHA_384", "PKIX_ECDSA_P521_SHA_512",
		"PKIX_RSA_PKCS1V15_2048_SHA256", "PKIX_RSA_PKCS1V15_3072_SHA256", "PKIX_RSA_PKCS1V15_4096_SHA256", "PKIX_ED25519", "PKIX_ED25519_PH")
	var raw []byte
	for _, name := range []string{"publicKey", "x509Certificate"} {
		one, _ := verifier.object(name)
		raw = append(raw, one.bytes("rawBytes")...)
		one.done()
	}
	for _, o := range []object{verifier, signature, hashed, spec} {
		o.done()
	}
	if len(digest) == 0 || len(content) == 0 || len(raw) == 0 {
		spec.r.fail("%shashedRekordV002 is not whole", spec.path)
	}
}

func oneOf(o object, name string, values ...string) {
	if text := o.text(name); !slices.Contains(values, text) {
		o.r.fail("%s%s is %.40q, which is not known", o.path, name, text)
	}
}

// readHash reads a SHA-256.
func readHash(o object, name string) []byte {
	hash, _ := o.object(name)
	algorithm := hash.text("algorithm")
	value, err := hex.DecodeString(hash.text("value"))
	if algorithm != "sha256" || err != nil || len(value) != 32 {
		o.r.fail("%s%s is no SHA-256", o.path, name)
	}
	return value
}

// block is the first PEM block of data.
func block(o object, data []byte) []byte {
	b, _ := pem.Decode(data)
	if b == nil {
		o.r.fail("%s holds no PEM block", o.path)
		return nil
	}
	return b.Bytes
}

func (rec *recorded) whole(spec object) {
	if len(rec.signature) == 0 || len(rec.certificate) == 0 {
		spec.r.fail("%s holds no signature, or not by whom", spec.path)
	}
}

// about refuses an entry of Rekor v1 that is about another signature than that of the bundle.
func (rec *recorded) about(s signedEnvelope) bool {
	return bytes.Equal(rec.signature, s.signature) && bytes.Equal(rec.certificate, s.certificate.Raw) &&
		bytes.Equal(rec.payload, sum(crypto.SHA256, s.envelope.payload))
}
