package controller

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
)

func TestCommitBecomesPointers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	commit := r.repo.Commit("first")
	r.start()
	r.step()
	for _, channel := range []string{"staging", "production"} {
		p := r.pointer(channel)
		if p.Epoch != 1 || p.Seq != 1 || p.Stable.Commit != commit || !p.Issued.Equal(r.now) || !p.Expires.Equal(r.now.Add(7*24*time.Hour)) || p.Prev != "" {
			t.Errorf("%s: %+v", channel, p)
		}
		d, err := r.store.Resolve(t.Context(), "c-"+commit[:12])
		if err != nil || d.Digest != p.Stable.Digest {
			t.Errorf("immutable tag: %v, %v", d, err)
		}
		if sigs, err := r.store.Referrers(t.Context(), d, bundle.SignatureMediaType); err != nil || len(sigs) != 1 {
			t.Errorf("signatures: %v, %v", sigs, err)
		}
	}
	if s := r.c.Status(); s.Fleet != "acme" || s.Built.Commit != commit || len(s.Channels) != 2 || s.Failure != nil || !s.Polled.Equal(r.now) {
		t.Errorf("status: %+v", s)
	}
	if len(r.notes) != 1 {
		t.Errorf("%d notes: %+v", len(r.notes), r.notes)
	}
}

func TestNothingChangedNothingIsPushed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("first")
	r.start()
	r.step()
	before, pushes := r.pointer("staging"), r.store.pushes
	r.step()
	unrelated := r.repo.Put(map[string]string{"README.md": "other"}).Commit("not policy")
	r.step()
	r.start()
	r.step()
	if after := r.pointer("staging"); after.Seq != before.Seq || r.store.pushes != pushes {
		t.Errorf("seq %d, %d pushes; want %d, %d", after.Seq, r.store.pushes, before.Seq, pushes)
	}
	if s := r.c.Status(); s.Built.Commit != unrelated || r.builds != 2 {
		t.Errorf("built %s after %d builds", s.Built.Commit, r.builds)
	}
	second := r.repo.Put(map[string]string{"motd": "two"}).Commit("policy")
	r.step()
	if after := r.pointer("staging"); after.Seq != 2 || after.Stable.Commit != second || after.Prev == "" {
		t.Errorf("after a change: %+v", after)
	}
}

func TestHeartbeat(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("first")
	r.start()
	r.step()
	first := r.pointer("staging")
	r.now = r.now.Add(41 * time.Hour)
	r.step()
	if p := r.pointer("staging"); p.Seq != 1 {
		t.Errorf("issued anew too early: %+v", p)
	}
	r.now = r.now.Add(2 * time.Hour)
	r.step()
	if p := r.pointer("staging"); p.Seq != 2 || !p.Issued.Equal(r.now) || p.Stable != first.Stable {
		t.Errorf("heartbeat: %+v", p)
	}
	r.now = r.now.Add(-1000 * time.Hour) // the clock goes back
	r.repo.Put(map[string]string{"motd": "two"}).Commit("second")
	issued := r.pointer("staging").Issued
	r.step()
	if p := r.pointer("staging"); p.Seq != 3 || p.Issued.Before(issued) {
		t.Errorf("time went back: %+v", p)
	}
}

func TestBadCommitChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := r.repo.Commit("good")
	r.start()
	r.step()
	bad := r.repo.Put(map[string]string{"bad": "x"}).Commit("bad")
	for range 3 {
		if err := r.c.Step(t.Context()); err == nil {
			t.Fatal("a commit that does not compile was built")
		}
	}
	if r.builds != 2 {
		t.Errorf("the bad commit was tried %d times", r.builds-1)
	}
	s := r.c.Status()
	want := fault.Pos{File: "bad", Line: 3, Col: 7}
	if s.Failure == nil || s.Failure.Kind != FailedPolicy || s.Failure.Commit != bad || len(s.Failure.Problems) != 1 || s.Failure.Problems[0].Pos != want || s.Failure.Author == "" {
		t.Fatalf("failure: %+v", s.Failure)
	}
	if line := `level=ERROR msg=mistake err="bad:3:7: is bad (make it good)"` + "\n"; strings.Count(r.log.String(), line) != 1 {
		t.Errorf("the log does not have the mistake once, on a line of its own:\n%s", r.log.String())
	}
	if s.Built.Commit != good || s.Seen.Commit != bad || r.pointer("staging").Seq != 1 {
		t.Errorf("status: %+v", s)
	}
	if len(r.notes) != 2 {
		t.Errorf("%d notes, want one for the publication and one for the failure", len(r.notes))
	}
	r.now = r.now.Add(50 * time.Hour)
	if err := r.c.Step(t.Context()); err == nil {
		t.Error("the failure is forgotten")
	}
	if p := r.pointer("staging"); p.Seq != 2 || p.Stable.Commit != good {
		t.Errorf("no heartbeat while a commit is bad: %+v", p)
	}
	since := r.c.Status().Failure.Since
	if !since.Equal(s.Failure.Since) {
		t.Errorf("failing since %s, want %s", since, s.Failure.Since)
	}
	fixed := r.repo.Remove("bad").Put(map[string]string{"motd": "fixed"}).Commit("fixed")
	r.step()
	if s := r.c.Status(); s.Failure != nil || s.Built.Commit != fixed {
		t.Errorf("after the fix: %+v", s)
	}
}

func TestLostStateGoesOnFromTheRegistry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	r.start()
	r.step()
	r.now = r.now.Add(48 * time.Hour)
	r.step()
	if err := os.RemoveAll(r.data); err != nil {
		t.Fatal(err)
	}
	r.repo.Put(map[string]string{"motd": "two"}).Commit("two")
	r.start()
	r.step()
	if p := r.pointer("staging"); p.Seq != 3 || p.Prev == "" {
		t.Errorf("got %+v", p)
	}
	oneDigestATag(t, r.store)
}

func TestOtherKeysAreRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	r.start()
	r.step()
	before := r.pointer("staging")
	theirs := r.keys
	r.keys, r.data = newTestKeys("other"), t.TempDir()
	r.start()
	err := r.c.Step(t.Context())
	if !errors.Is(err, ErrForeign) || len(fault.Hints(err)) == 0 {
		t.Errorf("got %v", err)
	}
	if s := r.c.Status(); s.Failure == nil || s.Failure.Kind != FailedTrust {
		t.Errorf("status: %+v", s)
	}
	if r.keys = theirs; r.pointer("staging").Seq != before.Seq {
		t.Error("the pointer was replaced")
	}
}

func TestRegistryThatWentBackIsBroughtForward(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	r.start()
	r.step()
	old, err := r.store.Resolve(t.Context(), "channel-staging")
	if err != nil {
		t.Fatal(err)
	}
	r.repo.Put(map[string]string{"motd": "two"}).Commit("two")
	r.step()
	if err := r.store.Tag(t.Context(), old, "channel-staging"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(r.store.dir, "tags", "channel-production")); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.step()
	r.step()
	if a, b := r.pointer("staging").Seq, r.pointer("production").Seq; a != 2 || b != 2 {
		t.Errorf("staging %d, production %d", a, b)
	}
	oneDigestATag(t, r.store)
}

func TestRegistryThatWasLostIsFilledAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	commit := r.repo.Commit("one")
	r.start()
	r.step()
	r.store = newDirStore(t, t.TempDir())
	r.start()
	r.step()
	if len(r.c.nudge) != 1 {
		t.Error("the next round is not soon")
	}
	r.step()
	d, err := r.store.Resolve(t.Context(), "c-"+commit[:12])
	if p := r.pointer("staging"); err != nil || p.Seq != 1 || p.Stable.Digest != d.Digest {
		t.Errorf("pointer %+v, bundle %v %v", p, d, err)
	}
	if s := r.c.Status(); len(s.Channels) != 2 || s.Failure != nil {
		t.Errorf("status %+v", s)
	}
}

func TestInterruptedPublicationUsesTheSameBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	r.start()
	r.store.fail = errors.New("the disk is full")
	if err := r.c.Step(t.Context()); err == nil || r.c.Status().Failure.Kind != FailedRegistry {
		t.Fatalf("got %v, %+v", err, r.c.Status())
	}
	r.store.fail = nil
	r.step()
	// Signed and stored, but not sent: as if killed in between.
	signed, err := r.c.sign(t.Context(), "staging", r.c.state.Channels["staging"], intent{stable: r.c.state.Bundle})
	if err != nil {
		t.Fatal(err)
	}
	r.c.state.Channels["staging"] = signed
	if err := r.c.state.save(r.data); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.step()
	_, sigs, _, err := r.keys.Current(t.Context(), r.store, "acme", "staging")
	if err != nil || string(sigs[0]) != string(signed.Signatures[0]) {
		t.Errorf("other bytes were published: %v", err)
	}
	oneDigestATag(t, r.store)
}

func TestFleetCannotBeRenamed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	r.start()
	r.step()
	r.repo.Put(map[string]string{"channels": "other staging"}).Commit("renamed")
	if err := r.c.Step(t.Context()); err == nil || len(fault.Hints(err)) == 0 || r.pointer("staging").Seq != 1 {
		t.Errorf("got %v", err)
	}
}

func TestRewriteIsAFailureOfGit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	r.start()
	r.step()
	r.repo.CommitOn("another root")
	if err := r.c.Step(t.Context()); !errors.Is(err, gitsource.ErrRewritten) || r.c.Status().Failure.Kind != FailedGit {
		t.Errorf("got %v, %+v", err, r.c.Status().Failure)
	}
	if !strings.Contains(r.log.String(), "start with --allow-rewrite") {
		t.Errorf("the log does not say what to do:\n%s", &r.log)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	h := r.start().Handler()
	do := func(method, path string, header ...string) (int, string) {
		req := httptest.NewRequest(method, path, nil)
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		return w.Code, w.Body.String()
	}
	if code, _ := do("GET", "/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("ready before the first publication: %d", code)
	}
	r.step()
	if code, body := do("GET", "/readyz"); code != 200 {
		t.Errorf("not ready: %d %s", code, body)
	}
	if code, body := do("GET", "/v1/controller"); code != 200 || !strings.Contains(body, `"fleet":"acme"`) {
		t.Errorf("status: %d %s", code, body)
	}
	_, body := do("GET", "/metrics")
	for _, want := range []string{`vigo_controller_pointer_seq{channel="staging"} 1`, `vigo_controller_failing{kind="policy"} 0`, "vigo_controller_release_counter 1", "vigo_controller_compile_seconds_count 1"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
	if code, _ := do("GET", "/healthz"); code != 200 {
		t.Errorf("not healthy: %d", code)
	}
	r.now = r.now.Add(time.Hour)
	if code, _ := do("GET", "/healthz"); code != http.StatusServiceUnavailable {
		t.Errorf("healthy after an hour of silence: %d", code)
	}
}
