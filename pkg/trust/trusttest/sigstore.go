// Package trusttest makes what it takes the outside world to make: keyless signatures, by a Sigstore instance of its own.
//
// It refuses to be used for anything but tests: its keys are thrown away, and whoever asks is who they say they are.
package trusttest

import (
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
	"google.golang.org/protobuf/encoding/protojson"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// A Sigstore is a certificate authority, a transparency log and a timestamp authority.
type Sigstore struct{ virtual *ca.VirtualSigstore }

// NewSigstore makes one with new keys.
func NewSigstore() (*Sigstore, error) {
	virtual, err := ca.NewVirtualSigstore()
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

// Sign signs an in-toto statement as somebody, and returns a Sigstore bundle.
func (s *Sigstore) Sign(statement []byte, id trust.Identity) ([]byte, error) {
	entity, err := s.virtual.AttestAtTime(id.Subject, id.Issuer, statement, time.Now().Add(5*time.Minute), true)
	if err != nil {
		return nil, err
	}
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
		material.TlogEntries = append(material.TlogEntries, entry)
	}
	envelope, err := json.Marshal(signature.EnvelopeContent().RawEnvelope())
	if err != nil {
		return nil, err
	}
	doc, err := protojson.Marshal(&protobundle.Bundle{MediaType: bundle.SignatureMediaType, VerificationMaterial: material})
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

// SignManifest signs a manifest as `cosign sign` does without a key.
func (s *Sigstore) SignManifest(digest string, id trust.Identity) ([]byte, error) {
	return s.Sign(Statement(digest, trust.SignPredicate), id)
}

// Statement is an in-toto statement without a predicate.
func Statement(digest, predicateType string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{}}`,
		digest[len("sha256:"):], predicateType)
}
