package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"time"
)

const trustedRootType = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"

// A TrustedRoot is what a Sigstore instance is trusted by: its trusted_root.json.
type TrustedRoot struct {
	authorities []authority         // of certificates
	stampers    []authority         // of timestamps
	logs        map[string]logOwner // of signatures, by ID
	ctLogs      map[string]logOwner // of certificates, by ID
}

// A period is when something may be used. A bound that is zero is none.
type period struct{ start, end time.Time }

func (p period) holds(t time.Time) bool {
	return (p.start.IsZero() || !t.Before(p.start)) && (p.end.IsZero() || !t.After(p.end))
}

// An authority certifies identities or the time.
type authority struct {
	uri    string
	chain  []*x509.Certificate // the last is the root
	period period
}

func (a authority) root() *x509.Certificate { return a.chain[len(a.chain)-1] }

// A logOwner is who signs for a transparency log.
type logOwner struct {
	id     string // as it is in entries
	url    string
	key    crypto.PublicKey
	period period
}

// Certifies says whether the root names an authority for certificates.
func (t *TrustedRoot) Certifies() bool { return len(t.authorities) > 0 }

// Witnesses says whether the root names anybody who can say when a signature was made.
func (t *TrustedRoot) Witnesses() bool { return len(t.logs)+len(t.stampers) > 0 }

// ParseTrustedRoot reads a trusted_root.json.
func ParseTrustedRoot(data []byte) (*TrustedRoot, error) {
	var r reading
	o := parseObject(data, &r)
	if mediaType := o.text("mediaType"); mediaType != trustedRootType {
		r.fail("the media type is %.120q, not %s", mediaType, trustedRootType)
	}
	t := &TrustedRoot{
		logs: readLogs(o, "tlogs"), authorities: readAuthorities(o, "certificateAuthorities"),
		ctLogs: readLogs(o, "ctlogs"), stampers: readAuthorities(o, "timestampAuthorities"),
	}
	o.done()
	return t, r.fault
}

func readPeriod(o object) (p period, there bool) {
	valid, there := o.object("validFor")
	p = period{valid.time("start"), valid.time("end")}
	valid.done()
	return p, there
}

func readAuthorities(o object, name string) []authority {
	var all []authority
	for _, one := range o.objects(name) {
		a := authority{uri: one.text("uri")}
		subject, _ := one.object("subject")
		subject.text("organization")
		subject.text("commonName")
		subject.done()
		one.text("operator")
		a.period, _ = readPeriod(one)
		chain, _ := one.object("certChain")
		for _, c := range chain.objects("certificates") {
			certificate, err := x509.ParseCertificate(c.bytes("rawBytes"))
			if err != nil {
				o.r.fail("%s: %w", c.path, err)
			}
			a.chain = append(a.chain, certificate)
			c.done()
		}
		chain.done()
		if len(a.chain) == 0 {
			o.r.fail("%scertChain is empty", one.path)
		}
		one.done()
		all = append(all, a)
	}
	return all
}

func readLogs(o object, name string) map[string]logOwner {
	logs := map[string]logOwner{}
	for _, one := range o.objects(name) {
		l := logOwner{url: one.text("baseUrl")}
		if algorithm := one.text("hashAlgorithm"); algorithm != "SHA2_256" {
			o.r.fail("%shashAlgorithm is %.40q, not SHA2_256", one.path, algorithm)
		}
		one.text("operator")
		id, _ := one.object("logId")
		l.id = string(id.bytes("keyId"))
		id.done()
		if l.id == "" {
			o.r.fail("%slogId is empty", one.path)
		}
		checkpoint, _ := one.object("checkpointKeyId")
		checkpoint.bytes("keyId")
		checkpoint.done()
		public, _ := one.object("publicKey")
		key, err := parseLogKey(public.bytes("rawBytes"), public.text("keyDetails"))
		if err != nil {
			o.r.fail("%s: %w", public.path, err)
		}
		l.key = key
		if l.period, _ = readPeriod(public); l.period.start.IsZero() {
			o.r.fail("%svalidFor has no start", public.path)
		}
		public.done()
		one.done()
		logs[l.id] = l
	}
	return logs
}

// parseLogKey reads the key of a log, of the algorithm that is named.
func parseLogKey(raw []byte, details string) (crypto.PublicKey, error) {
	if details == "PKCS1_RSA_PKCS1V5" { // of the staging instance
		return x509.ParsePKCS1PublicKey(raw)
	}
	key, err := x509.ParsePKIXPublicKey(raw)
	if err != nil {
		return nil, err
	}
	ok := false
	switch details {
	case "PKIX_ECDSA_P256_SHA_256", "PKIX_ECDSA_P384_SHA_384", "PKIX_ECDSA_P521_SHA_512":
		_, ok = key.(*ecdsa.PublicKey)
	case "PKIX_RSA_PKCS1V15_2048_SHA256", "PKIX_RSA_PKCS1V15_3072_SHA256", "PKIX_RSA_PKCS1V15_4096_SHA256":
		_, ok = key.(*rsa.PublicKey)
	case "PKIX_ED25519":
		_, ok = key.(ed25519.PublicKey)
	}
	if !ok {
		return nil, fmt.Errorf("a key of type %T that is said to be %.60q cannot be that of a log", key, details)
	}
	return key, nil
}
