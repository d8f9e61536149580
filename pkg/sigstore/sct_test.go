package sigstore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"golang.org/x/crypto/cryptobyte"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// A ctLog promises to take certificates in.
type ctLog struct {
	key       crypto.Signer
	id        string
	time      time.Time
	algorithm uint16
	spoil     func(*sct)
}

// issue issues a certificate with a list of promises, by an authority of its own.
func issue(t *testing.T, logs []ctLog, lists int) []*x509.Certificate {
	t.Helper()
	caKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: noon, NotAfter: noon.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign}
	issuer := create(t, ca, ca, caKey.Public(), caKey)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), EmailAddresses: []string{"a@example.com"}, NotBefore: noon, NotAfter: noon.Add(time.Hour),
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		ExtraExtensions: []pkix.Extension{{Id: oidIssuerV1, Value: []byte("https://issuer.example")}}}
	tbs := create(t, template, issuer, key.Public(), caKey).RawTBSCertificate
	var list cryptobyte.Builder
	list.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) {
		for _, l := range logs {
			b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(l.promise(t, issuer, tbs)) })
		}
	})
	var value cryptobyte.Builder
	value.AddASN1OctetString(list.BytesOrPanic())
	for range lists {
		template.ExtraExtensions = append([]pkix.Extension{{Id: oidSCTs, Value: value.BytesOrPanic()}}, template.ExtraExtensions...)
	}
	return []*x509.Certificate{create(t, template, issuer, key.Public(), caKey), issuer}
}

func create(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// promise writes what the log signs by hand, not with the code that is tested.
func (l ctLog) promise(t *testing.T, issuer *x509.Certificate, tbs []byte) []byte {
	t.Helper()
	s := sct{logID: l.id, time: uint64(l.time.UnixMilli()), extensions: []byte("ext"), algorithm: l.algorithm}
	size := len(tbs)
	message := append([]byte{0, 0}, be64(s.time)...)
	message = append(message, 0, 1)
	message = append(message, sum(crypto.SHA256, issuer.RawSubjectPublicKeyInfo)...)
	message = append(message, byte(size>>16), byte(size>>8), byte(size))
	message = append(append(message, tbs...), 0, 3, 'e', 'x', 't')
	var err error
	if s.signature, err = l.key.Sign(rand.Reader, sum(crypto.SHA256, message), crypto.SHA256); err != nil {
		t.Fatal(err)
	}
	if l.spoil != nil {
		l.spoil(&s)
	}
	var b cryptobyte.Builder
	b.AddUint8(0)
	b.AddBytes([]byte(s.logID))
	b.AddUint64(s.time)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.extensions) })
	b.AddUint16(s.algorithm)
	b.AddUint16LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(s.signature) })
	return b.BytesOrPanic()
}

func be64(n uint64) []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = byte(n >> (56 - 8*i))
	}
	return b
}

// Promises of logs of certificates are judged as sigstore-go judges them.
func TestPromisesOfCertificateLogs(t *testing.T) {
	t.Parallel()
	p256, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	strong, err3 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	id := func(first string) string { return first + "0123456789abcdef0123456789abcde" }
	good := ctLog{key: p256, id: id("a"), time: noon, algorithm: 0x0403}
	with := func(l ctLog, change func(*ctLog)) ctLog { change(&l); return l }
	trusted := map[string]logOwner{
		id("a"): {key: p256.Public(), period: period{noon.Add(-time.Hour), noon.Add(time.Hour)}},
		id("b"): {key: strong.Public(), period: period{start: noon.Add(-time.Hour)}},
		id("c"): {key: p384.Public(), period: period{start: noon.Add(-time.Hour)}},
	}
	for name, one := range map[string]struct {
		logs  []ctLog
		lists int
		want  bool
	}{
		"good":                   {[]ctLog{good}, 1, true},
		"RSA":                    {[]ctLog{{key: strong, id: id("b"), time: noon, algorithm: 0x0401}}, 1, true},
		"a stranger and good":    {[]ctLog{with(good, func(l *ctLog) { l.id = id("x") }), good}, 1, true},
		"a bad one and good":     {[]ctLog{with(good, func(l *ctLog) { l.key = p384 }), good}, 1, true},
		"a stranger":             {[]ctLog{with(good, func(l *ctLog) { l.id = id("x") })}, 1, false},
		"another key":            {[]ctLog{with(good, func(l *ctLog) { l.key = p384 })}, 1, false},
		"on P-384":               {[]ctLog{{key: p384, id: id("c"), time: noon, algorithm: 0x0403}}, 1, false},
		"before the log":         {[]ctLog{with(good, func(l *ctLog) { l.time = noon.Add(-2 * time.Hour) })}, 1, false},
		"after the log":          {[]ctLog{with(good, func(l *ctLog) { l.time = noon.Add(2 * time.Hour) })}, 1, false},
		"another time":           {[]ctLog{with(good, func(l *ctLog) { l.spoil = func(s *sct) { s.time++ } })}, 1, false},
		"other extensions":       {[]ctLog{with(good, func(l *ctLog) { l.spoil = func(s *sct) { s.extensions = nil } })}, 1, false},
		"another algorithm":      {[]ctLog{with(good, func(l *ctLog) { l.algorithm = 0x0401 })}, 1, false},
		"another hash":           {[]ctLog{with(good, func(l *ctLog) { l.algorithm = 0x0503 })}, 1, false},
		"a bit of the signature": {[]ctLog{with(good, func(l *ctLog) { l.spoil = func(s *sct) { s.signature[9] ^= 1 } })}, 1, false},
		"an empty list":          {nil, 1, false},
		"no list":                {nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chains := [][]*x509.Certificate{issue(t, one.logs, one.lists)}
			ours := (&TrustedRoot{ctLogs: trusted}).certified(chains)
			if theirs := judgeSCTs(t, chains, trusted); (ours == nil) != one.want || (theirs == nil) != one.want {
				t.Errorf("got %v, sigstore-go %v", ours, theirs)
			}
			other := [][]*x509.Certificate{{chains[0][0], issue(t, nil, 0)[1]}}
			if err := (&TrustedRoot{ctLogs: trusted}).certified(other); err == nil {
				t.Error("accepted with another issuer")
			}
		})
	}
}

func judgeSCTs(t *testing.T, chains [][]*x509.Certificate, trusted map[string]logOwner) error {
	t.Helper()
	logs := map[string]*root.TransparencyLog{}
	for id, l := range trusted {
		logs[hex.EncodeToString([]byte(id))] = &root.TransparencyLog{PublicKey: l.key, ValidityPeriodStart: l.period.start, ValidityPeriodEnd: l.period.end}
	}
	material, err := root.NewTrustedRoot(root.TrustedRootMediaType01, nil, logs, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return verify.VerifySignedCertificateTimestamp(chains, 1, material)
}

func FuzzSCTs(f *testing.F) {
	f.Add([]byte{0x30, 0x00}, []byte{0x04, 0x02, 0x00, 0x00})
	f.Fuzz(func(_ *testing.T, tbs, list []byte) {
		withoutSCTs(tbs)
		parseSCTs(&x509.Certificate{Extensions: []pkix.Extension{{Id: oidSCTs, Value: list}}})
	})
}
