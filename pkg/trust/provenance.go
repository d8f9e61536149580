package trust

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
)

// ProvenancePredicate is the predicate type of a statement about where a bundle comes from: SLSA provenance v1
// (https://slsa.dev/spec/v1.0/provenance). It is no signature: nothing runs because of it.
const ProvenancePredicate = "https://slsa.dev/provenance/v1"

// How bundles are built, and by what, as URIs of the provenance.
const (
	BuildType = "https://vigo.dev/bundle/v1"     // the layers are the files of a commit
	BuilderID = "https://vigo.dev/controller/v1" // a controller; which one says the key that signed
)

// A Provenance says from what a bundle was built, and by what. Agents do not look at it.
type Provenance struct {
	Repository string      `json:"repository,omitempty"` // URL; empty: one on the builder's machine
	Ref        string      `json:"ref,omitempty"`        // branch
	Commit     string      `json:"commit"`
	Fleet      string      `json:"fleet,omitempty"`
	Approvals  []string    `json:"approvals,omitempty"`  // of the commit, as its bundle says
	Promotions []Promotion `json:"promotions,omitempty"` // that people have signed, at the time
	Builder    string      `json:"builder"`              // URI
	Version    string      `json:"version,omitempty"`    // of the builder
	Finished   time.Time   `json:"finished,omitzero"`
	Key        string      `json:"key,omitempty"` // ID of the key that signed it; not part of what is signed
}

// A Promotion is who agreed that a bundle goes to a channel.
type Promotion struct {
	Channel  string   `json:"channel"`
	Approved []string `json:"approved"` // IDs of keys
}

// The parts of the SLSA predicate that are written and read.
type (
	slsaProvenance struct {
		BuildDefinition slsaDefinition `json:"buildDefinition"`
		RunDetails      slsaRun        `json:"runDetails"`
	}
	slsaDefinition struct {
		BuildType            string         `json:"buildType"`
		ExternalParameters   slsaExternal   `json:"externalParameters"`
		InternalParameters   slsaInternal   `json:"internalParameters,omitzero"`
		ResolvedDependencies []slsaResource `json:"resolvedDependencies"`
	}
	slsaExternal struct {
		Repository string `json:"repository,omitempty"`
		Ref        string `json:"ref,omitempty"`
	}
	slsaInternal struct {
		Fleet      string      `json:"fleet,omitempty"`
		Approvals  []string    `json:"approvals,omitempty"`
		Promotions []Promotion `json:"promotions,omitempty"`
	}
	slsaResource struct {
		URI    string            `json:"uri,omitempty"`
		Digest map[string]string `json:"digest"`
	}
	slsaRun struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Metadata struct {
			FinishedOn time.Time `json:"finishedOn,omitzero"`
		} `json:"metadata,omitzero"`
	}
)

// SignProvenance signs where a bundle comes from. The result is a Sigstore bundle for [AttachProvenance].
func (s *Signer) SignProvenance(ctx context.Context, d bundle.Descriptor, p Provenance) ([]byte, error) {
	doc := slsaProvenance{BuildDefinition: slsaDefinition{
		BuildType:            BuildType,
		ExternalParameters:   slsaExternal{p.Repository, p.Ref},
		InternalParameters:   slsaInternal{p.Fleet, p.Approvals, p.Promotions},
		ResolvedDependencies: []slsaResource{{Digest: map[string]string{"gitCommit": p.Commit}}},
	}}
	if p.Repository != "" {
		uri := "git+" + p.Repository
		if p.Ref != "" {
			uri += "@refs/heads/" + p.Ref
		}
		doc.BuildDefinition.ResolvedDependencies[0].URI = uri
	}
	doc.RunDetails.Builder.ID, doc.RunDetails.Metadata.FinishedOn = p.Builder, p.Finished.UTC().Truncate(time.Second)
	if p.Version != "" {
		doc.RunDetails.Builder.Version = map[string]string{"vigo": p.Version}
	}
	predicate, err := compactJSON(doc)
	if err != nil {
		return nil, fmt.Errorf("signing a provenance: %w", err)
	}
	payload, err := statementAbout(d.Digest, ProvenancePredicate, predicate)
	if err != nil {
		return nil, fmt.Errorf("signing a provenance: %w", err)
	}
	return s.sign(ctx, payload)
}

// AttachProvenance stores a provenance from [Signer.SignProvenance] as a referrer of subject, as `cosign attest` does.
func AttachProvenance(ctx context.Context, store bundle.Store, subject bundle.Descriptor, provenance []byte, now time.Time) (bundle.Descriptor, error) {
	return attach(ctx, store, subject, ProvenancePredicate, provenance, now)
}

// parseProvenance reads a verified payload. What other builders write beside it is left alone.
func parseProvenance(payload []byte, keyID string) (Provenance, error) {
	var s statement
	if err := decode(payload, &s); err != nil {
		return Provenance{}, err
	}
	var doc slsaProvenance
	if err := json.Unmarshal(s.Predicate, &doc); err != nil {
		return Provenance{}, &Refusal{Name: bundle.BadFormat, Detail: "not the provenance that was expected: " + oneLine(err)}
	}
	build, run := doc.BuildDefinition, doc.RunDetails
	p := Provenance{
		Repository: build.ExternalParameters.Repository, Ref: build.ExternalParameters.Ref, Fleet: build.InternalParameters.Fleet,
		Approvals: build.InternalParameters.Approvals, Promotions: build.InternalParameters.Promotions,
		Builder: run.Builder.ID, Version: run.Builder.Version["vigo"], Finished: run.Metadata.FinishedOn, Key: keyID,
	}
	for _, r := range build.ResolvedDependencies {
		if commit := r.Digest["gitCommit"]; commit != "" {
			p.Commit = commit
			break
		}
	}
	return p, nil
}

// Provenance returns what keys of the role bundle state about where a bundle comes from, none of it compared with the bundle
// itself. It fails when referrers cannot be looked at; that there are none is no error.
func (v *Verifier) Provenance(ctx context.Context, src bundle.Source, d bundle.Descriptor) ([]Provenance, error) {
	keys, _, _ := v.root.role(RoleBundle)
	referrers, err := src.Referrers(ctx, d, bundle.SignatureMediaType)
	if err != nil {
		return nil, fmt.Errorf("looking for the provenance of %s: %w", d.Digest, err)
	}
	var all []Provenance
	for _, r := range referrers[:min(len(referrers), maxSignatures)] {
		raw, err := carried(ctx, src, r, d.Digest)
		if err != nil {
			continue // told when signatures were looked for, which are the same referrers
		}
		if claimed(raw) != ProvenancePredicate {
			continue
		}
		s, err := verifyEnvelope(raw, d.Digest, keys, v.now())
		if err != nil || s.PredicateType != ProvenancePredicate {
			continue
		}
		p, err := parseProvenance(s.Payload, s.Key.ID())
		if err != nil {
			v.ignore(CheckProvenance, r.Digest, err)
			continue
		}
		all = append(all, p)
	}
	return all, nil
}

// inspectProvenance shows where a bundle comes from, and whether it says the same of itself.
func (v *Verifier) inspectProvenance(ctx context.Context, src bundle.Source, d bundle.Descriptor, c bundle.Config) []Provenance {
	all, err := v.Provenance(ctx, src, d)
	if err != nil {
		_ = v.refuse(CheckProvenance, d.Digest, err)
	} else if len(all) == 0 {
		v.seen(Check{Name: CheckProvenance, State: StateAbsent, What: d.Digest, Detail: "no trusted key states from what it was built"})
	}
	for _, p := range all {
		if c.Source.Commit != "" && p.Commit != c.Source.Commit {
			_ = v.refuse(CheckProvenance, d.Digest, &Refusal{Name: bundle.Conflicting, What: d.Digest,
				Detail: fmt.Sprintf("a trusted key states that it was built from commit %.64q, the bundle says %.64q", p.Commit, c.Source.Commit)})
			continue
		}
		v.see(CheckProvenance, d.Digest, p.String())
	}
	return all
}

// String says in a line what a provenance states.
func (p Provenance) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "built from commit %.64s", p.Commit)
	if p.Ref != "" {
		fmt.Fprintf(&b, " of %.200s", p.Ref)
	}
	if p.Repository != "" {
		fmt.Fprintf(&b, " at %.200s", p.Repository)
	}
	fmt.Fprintf(&b, " by %.200s", p.Builder)
	if p.Version != "" {
		fmt.Fprintf(&b, " %.40s", p.Version)
	}
	if len(p.Approvals) > 0 {
		fmt.Fprintf(&b, ", approved by %.200s", strings.Join(slices.Sorted(slices.Values(p.Approvals)), ", "))
	}
	for _, promotion := range p.Promotions {
		fmt.Fprintf(&b, ", promoted to %.80s with %s", promotion.Channel, shortly(len(promotion.Approved), "approval"))
	}
	return b.String()
}
