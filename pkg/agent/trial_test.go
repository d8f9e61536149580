package agent

import (
	"errors"
	"strings"
	"testing"

	"vigo.dev/pkg/bundle/bundletest"
)

// crash runs a new process as far as knowing what to converge, and no further.
func (r *rig) crash() {
	r.t.Helper()
	a := r.start()
	a.refusals.Begin()
	set := a.collect(r.t.Context(), a.NewHost())
	if err := a.update(r.t.Context(), set); err != nil {
		r.t.Fatal(err)
	}
	if _, err := a.catalog(r.t.Context(), set); err != nil {
		r.t.Fatal(err)
	}
}

func TestABundleThatCrashesTheAgentIsPutAside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.publish(motdPolicy("good"))
	r.once(r.start())
	bad := r.publish(motdPolicy("bad"))
	for range crashLimit {
		r.crash()
		if r.pointed() != bad.Descriptor.Digest {
			t.Fatal("it was given up too early")
		}
	}
	a := r.start()
	run := r.once(a)
	if run.Bundle != good.Descriptor.Digest || run.Commit != "c0ffee" || run.Error != "" {
		t.Errorf("the run: %+v", run)
	}
	r.wantMotd("good")
	r.wantRefusal("aside")

	// A heartbeat of the controller is no reason to try again, nor is a restart.
	r.point(r.pointer(bad.Descriptor), r.keys.channel)
	for _, process := range []*Agent{a, r.start()} {
		r.once(process)
		r.wantMotd("good")
		r.wantRefusal("aside")
	}

	// Another bundle is, and then the first may be tried again.
	better := r.publish(motdPolicy("better"))
	r.once(a)
	r.wantMotd("better")
	r.point(r.pointer(bad.Descriptor), r.keys.channel)
	r.once(a)
	r.wantMotd("bad")
	if better.Descriptor.Digest == r.pointed() {
		t.Error("the pointer did not move")
	}
}

// TestOnlyABundleThatIsProvenIsGoneBackTo: between the good one and the bad one there was one that no run came to its end
// with. Whatever it is, it must not be what is left, nor may nothing be left.
func TestOnlyABundleThatIsProvenIsGoneBackTo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.publish(motdPolicy("good"))
	r.once(r.start())
	r.publish(motdPolicy("cut short"))
	for range crashLimit - 1 {
		r.crash()
	}
	r.publish(motdPolicy("bad"))
	for range crashLimit {
		r.crash()
	}
	for range 2 * crashLimit { // by now it is neither of them
		a := r.start()
		set := a.collect(t.Context(), a.NewHost())
		if err := a.update(t.Context(), set); err != nil && !errors.Is(err, errAside) && !strings.Contains(err.Error(), "aside") {
			t.Fatal(err)
		}
		if _, err := a.catalog(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	if run := r.once(r.start()); run.Bundle != good.Descriptor.Digest || run.Error != "" {
		t.Errorf("the run: %+v", run)
	}
	r.wantMotd("good")
	r.wantRefusal("aside")
}

func TestANewerAgentTriesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	r.once(r.start())
	r.publish(motdPolicy("bad"))
	for range crashLimit {
		r.crash()
	}
	r.once(r.start())
	r.wantMotd("good")
	r.version = "1.0.1"
	r.once(r.start())
	r.wantMotd("bad")
}

func TestTheFirstBundleOfAllCanBePutAside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("bad"))
	for range crashLimit {
		r.crash()
	}
	if _, err := r.start().Once(t.Context()); err == nil || !strings.Contains(err.Error(), ErrNothing.Error()) {
		t.Errorf("the cycle: %v", err)
	}
	r.wantMotd("")
	r.wantRefusal("aside")
	r.publish(motdPolicy("good"))
	r.once(r.start())
	r.wantMotd("good")
}

func TestARunThatCameToItsEndProvesABundle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("one"))
	r.crash()
	r.crash()
	r.once(r.start())
	r.drift()
	for range 2 * crashLimit {
		r.crash() // whatever this is, it is not the bundle
	}
	r.once(r.start())
	r.wantMotd("one")
}

func TestABundleThatCrashesWhileAnotherIsRefusedIsStillPutAside(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	r.once(r.start())
	r.publish(motdPolicy("bad"))
	r.crash()
	r.point(r.pointer(r.hostile(motdPolicy("worse"), bundletest.Member('0', "../x", "")).Descriptor), r.keys.channel)
	for range crashLimit - 1 {
		a := r.start()
		set := a.collect(t.Context(), a.NewHost())
		if err := a.update(t.Context(), set); err == nil {
			t.Fatal("what is not signed was accepted")
		}
		if _, err := a.catalog(t.Context(), set); err != nil {
			t.Fatal(err)
		}
	}
	r.once(r.start())
	r.wantMotd("good")
}

// TestABundleThatCannotBeCompiledIsPutAside: the condition holds for the controller, which does not know the traits of
// this node, and fails here. It is found out before the bundle is in force, also by a process that has just started.
func TestABundleThatCannotBeCompiledIsPutAside(t *testing.T) {
	t.Parallel()
	broken := motdPolicy("bad", map[string]string{
		"modules/motd/module.yaml":         "kind: Module\nabout: What people read.\nresources:\n  - file: /etc/motd\n    template: motd.tmpl\n",
		"modules/motd/templates/motd.tmpl": "{{ range $i := .node }}{{ end }}{{ .role.x.y }}\n",
	})
	r := newRig(t)
	r.publish(motdPolicy("good"))
	r.once(r.start())
	bad := r.publish(broken)
	for range 2 {
		a := r.start()
		if run := r.once(a); run.Bundle == bad.Descriptor.Digest || run.Error != "" {
			t.Errorf("the run: %+v", run)
		}
		r.wantMotd("good")
		r.wantRefusal("aside")
	}
	if doc, err := r.state.loadTrust(); err != nil || !strings.Contains(doc.Aside[bad.Descriptor.Digest].Reason, "cannot be compiled") {
		t.Errorf("%+v, %v", doc.Aside, err)
	}
	st, err := ReadStatus(r.state.dir)
	if err != nil || len(st.Aside) != 1 || st.Commit != "c0ffee" || st.Pointer != "1.2" {
		t.Errorf("the status: %+v, %v", st, err)
	}
}
