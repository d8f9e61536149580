package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

func TestAnExpiredPointerStopsNewContentAndNotEnforcement(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	r.now = r.now.Add(48 * time.Hour) // nobody issued anew
	r.drift()
	if run := r.once(a); run.Counts.Corrected != 1 || run.Error != "" {
		t.Errorf("the drift was not repaired: %+v", run)
	}
	r.wantMotd("good")
	r.wantRefusal(bundle.Expired)
	r.publish(motdPolicy("new"))
	r.once(a)
	r.wantMotd("new")
}

func TestThePastIsNotBelieved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	r.once(r.start())
	p := r.pointer(bundle.Descriptor{Digest: r.pointed(), Size: 1})
	p.Issued, p.Expires = p.Issued.Add(-2*time.Minute), p.Issued.Add(-time.Minute) // it ran out before the newest was issued
	r.point(p, r.keys.channel)
	r.now = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC) // a host without a clock battery
	a := r.start()
	if run := r.once(a); run.Error != "" || run.Bundle == "" {
		t.Errorf("a host whose clock is behind does not enforce: %+v", run)
	}
	r.wantRefusal(bundle.Expired)
}

// pointed is the digest of the bundle in force.
func (r *rig) pointed() string {
	r.t.Helper()
	doc, err := r.state.loadTrust()
	if err != nil {
		r.t.Fatal(err)
	}
	return doc.Enforced.Digest
}

func TestTheKeysOfAClocklessHostAreGoodFromTheNewestPointerOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	from := trust.Key{Public: r.keys.bundle.Public(), NotBefore: r.now.Add(-time.Hour)}
	r.keys.root.Grant(trust.RoleBundle, 1, from)
	r.pin()
	r.publish(motdPolicy("good"))
	r.once(r.start())
	r.now = time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	r.origin.cut(true)
	r.drift()
	if run := r.once(r.start()); run.Error != "" {
		t.Error(run.Error)
	}
	r.wantMotd("good")
}

func TestRollbackIsRefusedAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	old := r.publish(motdPolicy("old"))
	r.publish(motdPolicy("new"))
	r.once(r.start())
	p := r.pointer(old.Descriptor)
	p.Seq = 1
	r.point(p, r.keys.channel)
	r.once(r.start())
	r.wantRefusal(bundle.Rollback)
	r.wantMotd("new")
	r.point(r.pointer(old.Descriptor), r.keys.channel) // a wanted rollback is a new number
	r.once(r.start())
	r.wantMotd("old")
}

func TestARevokedBundleIsNotEnforcedAnyMore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bad := r.publish(motdPolicy("bad"))
	a := r.start()
	r.once(a)
	unsigned := r.build(motdPolicy("next"), nil, bundle.Builder{})
	p := r.pointer(unsigned.Descriptor)
	p.Revoked = []string{bad.Descriptor.Digest}
	r.point(p, r.keys.channel)
	r.drift()
	run := r.once(a)
	if !strings.Contains(run.Error, "revoked") {
		t.Errorf("the run says %q", run.Error)
	}
	r.wantMotd("by hand")
}

func TestAPointerThatIsIssuedAnewChangesNothingOnTheHost(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	built := r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	before := snapshot(t, r.root)
	r.now = r.now.Add(time.Minute)
	r.point(r.pointer(built.Descriptor), r.keys.channel)
	run := r.once(a)
	if run.Pointer != "1.2" || !run.Quiet() {
		t.Errorf("the run: %+v", run)
	}
	if diff := cmp.Diff(before, snapshot(t, r.root)); diff != "" {
		t.Error(diff)
	}
}

func TestACycleThatFindsAllAsDeclaredWritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	before := times(t, filepath.Dir(r.state.Path("x")))
	for _, process := range []*Agent{a, r.start()} {
		if run := r.once(process); !run.Quiet() {
			t.Errorf("the run: %+v", run)
		}
	}
	if diff := cmp.Diff(before, times(t, filepath.Dir(r.state.Path("x")))); diff != "" {
		t.Errorf("the state was written:\n%s", diff)
	}
	if n := len(r.service.runs); n != 1 {
		t.Errorf("%d runs were reported, want the first alone", n)
	}
}

// times are the modification times of all files and folders.
func times(t *testing.T, dir string) map[string]time.Time {
	t.Helper()
	all := map[string]time.Time{}
	for name := range snapshot(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all[name] = info.ModTime()
	}
	return all
}
