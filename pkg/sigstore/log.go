package sigstore

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// A signedEnvelope is what logs and timestamp authorities witness: an envelope with the certificate it was signed with.
type signedEnvelope struct {
	envelope    *envelope
	signature   []byte
	certificate *x509.Certificate
}

// logged refuses a signature that is in none of the logs, or with which an entry of one of them does not agree, and returns
// when the logs say that they took it in. Entries of other logs say nothing.
func (t *TrustedRoot) logged(s signedEnvelope, entries []entry) ([]time.Time, error) {
	var times []time.Time
	verified, timed := map[string]bool{}, map[string]bool{}
	for i, e := range entries {
		for _, other := range entries[:i] {
			if e.logID == other.logID && e.index == other.index {
				return nil, errors.New("an entry of a log is there twice")
			}
		}
	}
	for _, e := range entries {
		owner, known := t.logs[e.logID]
		if !known || len(e.promise) > 0 && !e.promised(owner) {
			continue
		}
		if err := e.verify(owner, s); err != nil {
			return nil, fmt.Errorf("an entry of the log %s: %w", owner.url, err)
		}
		verified[e.logID] = true
		// Only the promise is signed together with the time.
		if len(e.promise) > 0 && !timed[e.logID] {
			timed[e.logID] = true
			times = append(times, time.Unix(e.time, 0))
		}
	}
	if len(verified) == 0 {
		return nil, errors.New("the signature is in no transparency log that is trusted")
	}
	return times, nil
}

// verify refuses an entry of a trusted log that the log did not take in, or that is about something else.
func (e *entry) verify(owner logOwner, s signedEnvelope) error {
	if len(e.promise) == 0 && e.proof == nil {
		return errors.New("there is neither a promise nor a proof of inclusion")
	}
	if e.time != 0 && !valid(s.certificate, time.Unix(e.time, 0)) {
		return errors.New("the certificate was not valid when the entry was made")
	}
	if e.recorded == nil {
		return e.includedV2(owner, s)
	}
	if e.proof != nil {
		if err := e.included(owner); err != nil {
			return err
		}
	}
	if !e.recorded.about(s) {
		return errors.New("it is about another signature")
	}
	return nil
}

func valid(c *x509.Certificate, t time.Time) bool {
	return !t.Before(c.NotBefore) && !t.After(c.NotAfter)
}

// promised verifies the signed entry timestamp of Rekor v1, which is over canonical JSON (RFC 8785).
func (e *entry) promised(owner logOwner) bool {
	key, ok := owner.key.(*ecdsa.PublicKey)
	const exact = 1 << 53 // numbers in canonical JSON are floating
	if !ok || e.recorded == nil || e.time <= 0 || e.time > exact || e.index > exact || !owner.period.holds(time.Unix(e.time, 0)) {
		return false
	}
	payload, err := json.Marshal(struct { // in the order of the names
		Body  []byte `json:"body"`
		Time  int64  `json:"integratedTime"`
		LogID string `json:"logID"`
		Index int64  `json:"logIndex"`
	}{e.body, e.time, hex.EncodeToString([]byte(e.logID)), e.index})
	return err == nil && ecdsa.VerifyASN1(key, sum(crypto.SHA256, payload), e.promise)
}

// included verifies the path from the body to a checkpoint of Rekor v1.
func (e *entry) included(owner logOwner) error {
	p := e.proof
	if p.index < 0 || p.size < 0 {
		return errors.New("the proof of inclusion is about no place in a tree")
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(e.body)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(p.index), uint64(p.size), leaf, p.hashes, p.root); err != nil {
		return fmt.Errorf("the proof of inclusion: %w", err)
	}
	root, err := openCheckpoint(p.checkpoint, owner.key)
	if err != nil {
		return fmt.Errorf("the checkpoint: %w", err)
	}
	if !bytes.Equal(root, p.root) {
		return errors.New("the checkpoint is about another tree than the proof of inclusion")
	}
	return nil
}

// includedV2 verifies the path to a checkpoint of Rekor v2 from the entry that the log must have made of the signature.
func (e *entry) includedV2(owner logOwner, s signedEnvelope) error {
	if e.proof == nil {
		return errors.New("there is no proof of inclusion")
	}
	address, err := url.Parse(owner.url)
	if err != nil {
		return err
	}
	signer, err := newNoteKey(address.Hostname(), owner.key)
	if err != nil {
		return err
	}
	checkpoint, _, _, err := log.ParseCheckpoint([]byte(e.proof.checkpoint), signer.Name(), signer)
	if err != nil {
		return fmt.Errorf("the checkpoint: %w", err)
	}
	body, err := bodyV2(s)
	if err != nil {
		return err
	}
	if !bytes.Equal(body, e.body) {
		return errors.New("it is about another signature")
	}
	leaf := rfc6962.DefaultHasher.HashLeaf(body)
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(e.index), checkpoint.Size, leaf, e.proof.hashes, checkpoint.Hash); err != nil {
		return fmt.Errorf("the proof of inclusion: %w", err)
	}
	return nil
}

// bodyV2 is the entry that Rekor v2 makes of a signature: hashedrekord 0.0.2, in canonical JSON.
func bodyV2(s signedEnvelope) ([]byte, error) {
	how, err := registered(s.certificate.PublicKey)
	if err != nil {
		return nil, err
	}
	names := map[crypto.Hash]string{crypto.SHA256: "SHA2_256", crypto.SHA384: "SHA2_384", crypto.SHA512: "SHA2_512"}
	type fields = map[string]any // written in the order of their names
	base64 := base64.StdEncoding.EncodeToString
	return json.Marshal(fields{"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": fields{"hashedRekordV002": fields{
		"data": fields{"algorithm": names[how.hash], "digest": base64(sum(how.hash, s.envelope.preAuth()))},
		"signature": fields{"content": base64(s.signature), "verifier": fields{
			"keyDetails": how.name, "x509Certificate": fields{"rawBytes": base64(s.certificate.Raw)},
		}},
	}}})
}
