package agent

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// TestAPinnedNodeStaysWithWhatItHas: in a rollout and without, and says so. What it has is enforced still.
func TestAPinnedNodeStaysWithWhatItHas(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := SetPin(r.state.dir, Pin{Since: r.now}); !errors.Is(err, ErrNothing) {
		t.Errorf("a node without a policy is pinned: %v", err)
	}
	one := r.publish(motdPolicy("one"))
	a := r.start()
	r.once(a)
	two := r.make(motdPolicy("two"))
	if digest, err := SetPin(r.state.dir, Pin{Since: r.now, Reason: "ann looks into it"}); err != nil || digest != one.Descriptor.Digest {
		t.Fatalf("%s, %v", digest, err)
	}
	if _, err := SetPin(r.state.dir, Pin{Since: r.now.Add(time.Hour), Reason: "ben, too"}); err != nil {
		t.Fatal(err)
	}
	r.offer(one, two, rollout.Directive{Admit: everyone("")})
	r.once(a)
	r.wantMotd("one")
	if in, _ := a.compose(); !in.Pinned || in.Bundle != one.Descriptor.Digest {
		t.Errorf("it says %+v", in)
	}
	st, err := ReadStatus(r.state.dir)
	if err != nil || st.Pinned == nil || !st.Pinned.Since.Equal(r.now) || st.Pinned.Reason != "ben, too" || st.Turn.Why != rollout.WhyPinned {
		t.Errorf("the status is %+v, %+v, %v", st.Pinned, st.Turn, err)
	}
	r.publish(motdPolicy("three")) // for everyone
	a = r.start()
	r.once(a)
	r.wantMotd("one")
	if was, err := TakePin(r.state.dir); !was || err != nil {
		t.Errorf("%t, %v", was, err)
	}
	r.once(a)
	r.wantMotd("three")
	if was, err := TakePin(r.state.dir); was || err != nil {
		t.Errorf("twice: %t, %v", was, err)
	}
}

// TestAPinGivesWay to a revocation, and one that cannot be read holds and is told of.
func TestAPinGivesWay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one := r.publish(motdPolicy("one"))
	a := r.start()
	r.once(a)
	if err := os.WriteFile(r.state.Path(pinFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	two := r.make(motdPolicy("two"))
	p := r.pointer(two.Descriptor)
	r.point(p, r.keys.channel)
	if run := r.once(a); !strings.Contains(run.Error, pinFile) {
		t.Errorf("the run says %q", run.Error)
	}
	r.wantMotd("one")
	if _, err := ReadStatus(r.state.dir); err == nil {
		t.Error("the status says nothing of it")
	}
	if _, err := SetPin(r.state.dir, Pin{Since: r.now}); err != nil {
		t.Fatal(err)
	}
	p = r.pointer(two.Descriptor)
	p.Revoked = []string{one.Descriptor.Digest}
	r.point(p, r.keys.channel)
	r.once(a)
	r.wantMotd("two")
}
