// Package sigstoretest makes what it takes the outside world to make: keyless signatures, by a Sigstore instance of its own.
//
// It refuses to be used for anything but tests: its keys are thrown away, and whoever asks is who they say they are.
package sigstoretest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"vigo.dev/pkg/sigstore"
)

const mediaType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// A Sigstore is a certificate authority, a transparency log and a timestamp authority.
type Sigstore struct{ virtual *ca.VirtualSigstore }

// New makes one with new keys. The keys of identities are of ECDSA on P-256.
func New() (*Sigstore, error) { return NewWith(protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256) }

// NewWith makes one in which the keys of identities are of another algorithm.
func NewWith(algorithm protocommon.PublicKeyDetails) (*Sigstore, error) {
	virtual, err := ca.NewVirtualSigstoreWithSigningAlg(algorithm)
	return &Sigstore{virtual}, err
}

// TrustedRoot is its trusted_root.json. It names no log of certificates, since the authority puts its certificates in none.
func (s *Sigstore) TrustedRoot() ([]byte, error) {
	logs := s.virtual.RekorLogs()
	for name, log := range logs {
		id, err := hex.DecodeString(name) // the virtual log has the digits themselves as its ID
		if err != nil {
			return nil, err
		}
		log.ID = id
	}
	tr, err := root.NewTrustedRoot(root.TrustedRootMediaType01, s.virtual.FulcioCertificateAuthorities(), nil, s.virtual.TimestampingAuthorities(), logs)
	if err != nil {
		return nil, err
	}
	return tr.MarshalJSON()
}

// Sign signs an in-toto statement as somebody, and returns a Sigstore bundle with an entry of Rekor v1, which is said to be
// made at some time and holds a proof of inclusion. It is a timestamp authority alone that vouches for a time.
func (s *Sigstore) Sign(statement []byte, id sigstore.Identity, at time.Time) ([]byte, error) {
	return s.sign(statement, id, at, false)
}

// SignPromised is Sign with a promise of the log, which vouches for the time too.
func (s *Sigstore) SignPromised(statement []byte, id sigstore.Identity, at time.Time) ([]byte, error) {
	return s.sign(statement, id, at, true)
}

func (s *Sigstore) sign(statement []byte, id sigstore.Identity, at time.Time, promised bool) ([]byte, error) {
	entity, err := s.virtual.AttestAtTime(id.Subject, id.Issuer, statement, at, true)
	if err != nil {
		return nil, err
	}
	return s.encode(entity, promised)
}

// SignV2 is Sign with an entry of Rekor v2.
func (s *Sigstore) SignV2(statement []byte, id sigstore.Identity, at time.Time) ([]byte, error) {
	entity, err := s.virtual.AttestAtTimeHashedRekordV2(id.Subject, id.Issuer, statement, at)
	if err != nil {
		return nil, err
	}
	return s.encode(entity, false)
}

func (s *Sigstore) encode(entity verify.SignedEntity, promised bool) ([]byte, error) {
	verification, err1 := entity.VerificationContent()
	signature, err2 := entity.SignatureContent()
	timestamps, err3 := entity.Timestamps()
	entries, err4 := entity.TlogEntries()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	material := &protobundle.VerificationMaterial{
		Content:                   &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: verification.Certificate().Raw}},
		TimestampVerificationData: &protobundle.TimestampVerificationData{},
	}
	for _, t := range timestamps {
		material.TimestampVerificationData.Rfc3161Timestamps = append(material.TimestampVerificationData.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: t})
	}
	for _, e := range entries {
		entry := e.TransparencyLogEntry()
		var body struct{ Kind, APIVersion string }
		if err := json.Unmarshal(entry.GetCanonicalizedBody(), &body); err != nil {
			return nil, err
		}
		entry.KindVersion = &protorekor.KindVersion{Kind: body.Kind, Version: body.APIVersion}
		if promised {
			promise, err := s.virtual.RekorSignPayload(tlog.RekorPayload{
				Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), IntegratedTime: entry.GetIntegratedTime(),
				LogIndex: entry.GetLogIndex(), LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()),
			})
			if err != nil {
				return nil, err
			}
			entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: promise}
		}
		material.TlogEntries = append(material.TlogEntries, entry)
	}
	envelope, err := json.Marshal(signature.EnvelopeContent().RawEnvelope())
	if err != nil {
		return nil, err
	}
	doc, err := protojson.Marshal(&protobundle.Bundle{MediaType: mediaType, VerificationMaterial: material})
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(doc, &fields); err != nil {
		return nil, err
	}
	fields["dsseEnvelope"] = envelope
	return json.Marshal(fields)
}

// Statement is an in-toto statement without a predicate.
func Statement(digest, predicateType string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`,
		digest[len("sha256:"):], predicateType)
}
