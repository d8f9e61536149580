package agent

import (
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/rollout"
)

// A Turn is why a node runs what it runs.
type Turn struct {
	Why   rollout.Why `json:"why"`
	Text  string      `json:"text"`            // the same in a sentence
	Stage string      `json:"stage,omitempty"` // of the rollout, that let it in
	// Rollout is the one that the newest pointer tells of, and Candidate the digest of what it gives; empty: there is none.
	Rollout   string `json:"rollout,omitempty"`
	Candidate string `json:"candidate,omitempty"`
	// Place is where in the order of the rollout the node is, in percent.
	Place float64 `json:"place,omitempty"`
}

// turnOf says why a node runs what it runs, of what it has decided last; nil: it runs nothing yet.
func turnOf(node string, trusted trustDoc) *Turn {
	if trusted.Enforced.Digest == "" {
		return nil
	}
	t := &Turn{Why: trusted.Turn.Why, Stage: trusted.Turn.Stage}
	if t.Why == "" {
		t.Why = rollout.WhyStable
	}
	t.Text = t.Why.Text(t.Stage)
	if p := trusted.Pointer; p.Rollout != nil {
		t.Rollout, t.Candidate, t.Place = p.Rollout.ID, candidateOf(p), float64(rollout.BucketOf(p.Rollout.Salt, node))/float64(rollout.Everyone)*100
	}
	return t
}

func candidateOf(p bundle.Pointer) string {
	if p.Candidate == nil {
		return ""
	}
	return p.Candidate.Digest
}
