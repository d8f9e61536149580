package controller

import (
	"context"
	"crypto/ed25519"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/seal"
)

// halfway lets one stage in, until it is done.
type halfway struct {
	done bool
	keep []string
}

// Roll implements Judge.
func (h *halfway) Roll(_ context.Context, plan api.RolloutPlan) (rollout.Signed, error) {
	if h.done {
		return rollout.Signed{Stable: plan.Candidate.Digest}, nil
	}
	return rollout.Signed{Stable: plan.Stable.Digest, Candidate: plan.Candidate.Digest, Directive: &rollout.Directive{
		ID: plan.Candidate.Digest, Salt: plan.Candidate.Digest, Keep: slices.DeleteFunc(slices.Clone(h.keep), func(d string) bool { return d == plan.Candidate.Digest }),
		Admit: []rollout.Admit{{Stage: "canary", Max: 1 << 60}},
	}}, nil
}

// token is the value from outside of the repository that a node finds in an artifact.
func (r *sealRig) token(t *bundle.Target, node string) string { return r.value(t, node, "up/token") }

func (r *sealRig) value(t *bundle.Target, node, name string) string {
	r.t.Helper()
	if t == nil {
		return "nothing is sealed"
	}
	key := r.keys[node]
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: t.Digest, Size: t.Size}
	sealed, err := seal.Find(r.t.Context(), r.store, d, "acme", "production", seal.ID(key.Public().(ed25519.PublicKey)))
	if err != nil {
		r.t.Fatal(err)
	}
	if sealed == nil {
		return "nothing is sealed to it"
	}
	e, err := seal.Open(key, "acme", "production", node, sealed)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(e.Secrets[name].Value)
}

// TestAValueFromOutsideIsStaged: where a channel is rolled out in stages, a value that a provider has changed comes with a bundle of its
// own; nodes that have the one before keep the old value, also through a restart, until it is their turn.
func TestAValueFromOutsideIsStaged(t *testing.T) {
	t.Parallel()
	r := newSealRig(t)
	judge := &halfway{}
	start := func() {
		r.begin()
		r.c.cfg.Judge = judge
	}
	r.repo.Put(map[string]string{"rollouts/production.yaml": "kind: Rollout\nstages: [{name: canary, size: 10%}, {name: rest, size: 100%}]\n"})
	r.enrol("db-1", map[string]string{"site": "ams"})
	r.variable = "v1"
	r.repo.Commit("first")
	start()
	turn := func(what, stable, candidate string, news bool) bundle.Pointer {
		t.Helper()
		before := r.pointer("production")
		for range 4 {
			r.now = r.now.Add(10 * time.Second)
			r.step()
		}
		p := r.pointer("production")
		if got := r.token(p.Secrets, "db-1"); got != stable {
			t.Errorf("%s: nodes with the stable bundle have %q, want %q", what, got, stable)
		}
		if candidate != "" {
			if got := r.token(p.CandidateSecrets, "db-1"); got != candidate {
				t.Errorf("%s: nodes with the candidate have %q, want %q", what, got, candidate)
			}
		} else if p.Candidate != nil {
			t.Errorf("%s: there is a candidate", what)
		}
		if news != (p.Seq != before.Seq) {
			t.Errorf("%s: pointer %d after %d", what, p.Seq, before.Seq)
		}
		return p
	}
	r.step()
	one := turn("the first", "v1", "", false)
	r.variable = "v2"
	two := turn("another value", "v1", "v2", true)
	if two.Stable.Digest != one.Stable.Digest || *two.Secrets != *one.Secrets {
		t.Errorf("who has the stable bundle is to fetch something: %+v", two)
	}
	start()
	turn("nothing new, after a restart", "v1", "v2", false)
	r.enrol("db-2", map[string]string{"site": "ams"})
	p := turn("a node that never had the old one", "v1", "v2", true)
	if got := r.token(p.Secrets, "db-2"); got != "v2" {
		t.Errorf("it has %q", got)
	}
	judge.done = true
	three := turn("done", "v2", "", true)
	if three.Stable.Digest != two.Candidate.Digest || *three.Secrets != *p.CandidateSecrets {
		t.Errorf("nodes are to fetch again what they have: %+v", three)
	}
	judge.done = false
	r.variable = "v3"
	start()
	four := turn("once more, and a restart", "v2", "v3", true)
	judge.keep = []string{four.Candidate.Digest}
	r.variable = "v4"
	five := turn("and again before it is done", "v2", "v4", true)
	if five.Candidate.Digest == four.Candidate.Digest {
		t.Error("the candidate is the same with two values")
	}
}

// TestAValueFromOutsideAtOnce: without stages it is there when the provider has it.
func TestAValueFromOutsideAtOnce(t *testing.T) {
	t.Parallel()
	r := newSealRig(t)
	r.enrol("db-1", map[string]string{"site": "ams"})
	r.variable = "v1"
	r.repo.Commit("first")
	r.begin()
	r.step()
	before := r.pointer("production")
	r.variable, r.now = "v2", r.now.Add(time.Minute)
	r.step()
	p := r.pointer("production")
	if got := r.token(p.Secrets, "db-1"); got != "v2" || p.Stable != before.Stable {
		t.Errorf("it has %q with %s", got, p.Stable.Digest)
	}
}

// TestAValueInGitIsStaged: a commit that changes an encrypted file alone is rolled out like any other.
func TestAValueInGitIsStaged(t *testing.T) {
	t.Parallel()
	r := newSealRig(t)
	r.repo.Put(map[string]string{"rollouts/production.yaml": "kind: Rollout\nstages: [{name: canary, size: 10%}, {name: rest, size: 100%}]\n"})
	r.enrol("db-1", nil)
	r.repo.Commit("first")
	r.begin()
	r.c.cfg.Judge = &halfway{}
	r.step()
	r.secret("db/password", "changed")
	r.repo.Commit("another password")
	r.step()
	p := r.pointer("production")
	if stable, candidate := r.value(p.Secrets, "db-1", "db/password"), r.value(p.CandidateSecrets, "db-1", "db/password"); stable != "hunter2" || candidate != "changed" {
		t.Errorf("the stable bundle has %q, the candidate %q", stable, candidate)
	}
}
