package agent

import (
	"io/fs"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/rollout"
)

// offer publishes a policy as the candidate beside what is stable, under a directive.
func (r *rig) offer(stable, candidate bundle.Built, d rollout.Directive) {
	r.t.Helper()
	p := r.pointer(stable.Descriptor)
	p.Candidate = &bundle.Target{Digest: candidate.Descriptor.Digest, Size: candidate.Descriptor.Size}
	d.ID, d.Salt = "r1", p.Candidate.Digest
	p.Rollout = &d
	r.point(p, r.keys.channel)
}

// make builds and signs a policy, and points to nothing.
func (r *rig) make(files fs.FS) bundle.Built {
	r.t.Helper()
	built := r.build(files, nil, bundle.Builder{})
	r.sign(built.Descriptor, r.keys.bundle)
	return built
}

func everyone(when string) []rollout.Admit {
	return []rollout.Admit{{Stage: "all", When: when, Max: rollout.Everyone}}
}

// TestANodeTakesTheCandidateInItsTurn: not before, not while it is paused, not when its condition does not hold; and having
// it, it keeps it until it is told to leave it.
func TestANodeTakesTheCandidateInItsTurn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one := r.publish(motdPolicy("one"))
	r.once(r.start())
	two := r.make(motdPolicy("two"))
	for _, step := range []struct {
		what      string
		directive rollout.Directive
		motd      string
		why       rollout.Why
	}{
		{"before its turn", rollout.Directive{}, "one", rollout.WhyStable},
		{"a place that is too low", rollout.Directive{Admit: []rollout.Admit{{Stage: "canary", Max: 1}}}, "one", rollout.WhyStable},
		{"a condition that does not hold", rollout.Directive{Admit: everyone(`role == "nobody"`)}, "one", rollout.WhyStable},
		{"a condition it cannot read", rollout.Directive{Admit: everyone(`os.family == `)}, "one", rollout.WhyUndecided},
		{"paused", rollout.Directive{Admit: everyone(""), Paused: true}, "one", rollout.WhyPaused},
		{"outside of the window", rollout.Directive{Admit: everyone(""), Closed: true}, "one", rollout.WhyWindow},
		{"its turn", rollout.Directive{Admit: everyone("")}, "two", rollout.WhyAdmitted},
		{"it has it", rollout.Directive{}, "two", rollout.WhyAdopted},
		{"taken back", rollout.Directive{Revert: []string{two.Descriptor.Digest}}, "one", rollout.WhyReverted},
	} {
		r.offer(one, two, step.directive)
		a := r.start()
		r.once(a)
		if why := a.trustCopy().Turn.Why; why != step.why {
			t.Errorf("%s: it says %q, want %q", step.what, why, step.why)
		}
		if turn := turnOf("web-1", a.trustCopy()); turn.Why != step.why || turn.Rollout == "" || turn.Candidate != two.Descriptor.Digest || turn.Place <= 0 {
			t.Errorf("%s: the status has %+v", step.what, turn)
		}
		r.wantMotd(step.motd)
		if t.Failed() {
			t.Fatalf("%s: stop", step.what)
		}
	}
}

// TestANodeSaysWhatItIsAboutToEnforce before it does.
func TestANodeSaysWhatItIsAboutToEnforce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one := r.publish(motdPolicy("one"))
	r.once(r.start())
	two := r.make(motdPolicy("two"))
	r.offer(one, two, rollout.Directive{Admit: everyone("")})
	r.once(r.start())
	said := false
	for _, c := range r.service.checkIns {
		if c.Adopting == two.Descriptor.Digest {
			said = true
			if c.Bundle != one.Descriptor.Digest {
				t.Errorf("it says so when it enforces %s", c.Bundle)
			}
		}
	}
	if !said {
		t.Error("it did not say so")
	}
}

// TestACandidateThatCrashesIsPutAsideForTheWholeRollout, although pointers change while it widens.
func TestACandidateThatCrashesIsPutAsideForTheWholeRollout(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one := r.publish(motdPolicy("one"))
	r.once(r.start())
	two := r.make(motdPolicy("two"))
	for i := range crashLimit {
		r.offer(one, two, rollout.Directive{Admit: []rollout.Admit{{Stage: "all", Max: rollout.Everyone - 10 + rollout.Bucket(i)}}})
		r.crash()
	}
	for i := range 3 {
		r.offer(one, two, rollout.Directive{Admit: []rollout.Admit{{Stage: "all", Max: rollout.Everyone - 3 + rollout.Bucket(i)}}})
		r.once(r.start())
		r.wantMotd("one")
		r.wantRefusal("aside")
	}
}
