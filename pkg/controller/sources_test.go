package controller

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// release makes a commit on the branch release, beside main, and returns its hash.
func (r *rig) release(files map[string]string, message string) string {
	r.t.Helper()
	main, err := r.repo.Git.Reference("refs/heads/main", true)
	if err != nil {
		r.t.Fatal(err)
	}
	parent := main
	if old, err := r.repo.Git.Reference("refs/heads/release", true); err == nil {
		parent = old
	}
	hash := r.repo.Put(files).CommitOn(message, parent.Hash())
	r.repo.Branch("release", hash)
	r.repo.Branch("main", main.Hash().String())
	return hash
}

// other is the controller of the branch release, after a step.
func (r *rig) other() (*Controller, error) {
	r.t.Helper()
	all := r.c.others.all()
	if len(all) != 1 {
		r.t.Fatalf("%d other branches are followed", len(all))
	}
	return all[0].Controller, all[0].Step(r.t.Context())
}

func (r *rig) stepOther() *Controller {
	r.t.Helper()
	c, err := r.other()
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// failsOther fails unless the controller of the branch release does, because of this.
func (r *rig) failsOther(want string) {
	r.t.Helper()
	if _, err := r.other(); err == nil || !strings.Contains(err.Error(), want) {
		r.t.Errorf("got %v, want %q", err, want)
	}
}

// shows fails unless a channel has a commit and a number.
func (r *rig) shows(channel, commit string, seq int64) {
	r.t.Helper()
	if p := r.pointer(channel); p.Stable.Commit != commit || p.Seq != seq {
		r.t.Errorf("%s is at %s with %s, want .%d with %s", channel, p.Version(), p.Stable.Commit, seq, commit)
	}
}

const given = "acme staging production@release"

func TestABranchFeedsAChannel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one := r.repo.Commit("one branch for all")
	r.start()
	r.step()
	r.shows("production", one, 1)

	// The policy gives production to another branch; the number goes on, and main does not touch it any more.
	r.repo.Put(map[string]string{"channels": given}).Commit("production is fed by release")
	stable := r.release(map[string]string{"motd": "released"}, "a release")
	r.step()
	r.stepOther()
	r.shows("production", stable, 2)
	next := r.repo.Put(map[string]string{"motd": "next"}).Commit("next")
	r.step()
	r.shows("staging", next, 3)
	r.shows("production", stable, 2)

	// Each has its own pace, and its own heartbeat.
	later := r.release(map[string]string{"motd": "released again"}, "another release")
	r.stepOther()
	r.shows("production", later, 3)
	r.now = r.now.Add(r.c.cfg.PointerTTL / 3)
	r.step()
	r.stepOther()
	r.shows("staging", next, 4)
	r.shows("production", later, 4)

	// And back, at once and after a restart, without a number being used twice.
	back := r.repo.Put(map[string]string{"channels": "acme staging production"}).Commit("back to one branch")
	r.step()
	r.shows("production", back, 5)
	if n := len(r.c.others.all()); n != 0 {
		t.Errorf("%d branches are still followed", n)
	}
	r.repo.Put(map[string]string{"channels": given}).Commit("and again")
	r.step()
	r.stepOther()
	r.shows("production", later, 6)
	r.start()
	r.step()
	r.stepOther()
	r.shows("production", later, 6)
	contiguous(t, r.store, "channel-production-1.")
}

// A channel that changes hands while the other side does not look is looked at again before anything is signed for it.
func TestAChannelThatChangesHandsBehindSomebodysBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	both := "acme staging edge@release production@release"
	r.repo.Put(map[string]string{"channels": both}).Commit("policy")
	first := r.release(nil, "first")
	r.start()
	r.step()
	r.stepOther()
	r.shows("production", first, 1)
	taken := r.repo.Put(map[string]string{"channels": "acme staging edge@release production"}).Commit("taken")
	r.step()
	r.shows("production", taken, 2)
	r.repo.Put(map[string]string{"channels": both}).Commit("given back")
	r.step()
	r.stepOther()
	r.shows("production", first, 3)
	contiguous(t, r.store, "channel-production-1.")
}

// The policy of main decides who feeds what; another branch cannot take a channel.
func TestABranchCannotTakeAChannel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	main := r.repo.Put(map[string]string{"channels": given}).Commit("policy")
	r.release(map[string]string{"channels": "acme staging production edge@elsewhere"}, "I am staging, too")
	r.start()
	r.step()
	c := r.stepOther()
	r.shows("staging", main, 1)
	if names := c.state.Names; !slices.Equal(names, []string{"production"}) {
		t.Errorf("it publishes %q", names)
	}
	if len(c.given()) != 0 || len(c.others.all()) != 0 {
		t.Error("a branch gives channels away")
	}
	// It must have what it is asked for, be of this fleet, and not be rewritten.
	r.release(map[string]string{"channels": "acme staging"}, "no production any more")
	r.failsOther("the fleet.yaml there does not have it")
	r.release(map[string]string{"channels": "emca production"}, "another fleet")
	r.failsOther(`the fleet is called "emca"`)
	r.repo.Branch("release", main)
	r.failsOther("was rewritten")
}

// The first commit of another branch is held against the rules of main.
func TestTheFirstCommitOfAnotherBranch(t *testing.T) {
	t.Parallel()
	ada, signAda := committer(t, "ada")
	eve, signEve := committer(t, "eve")
	r := newRig(t)
	r.repo.Sign = signAda
	first := r.repo.Put(map[string]string{"channels": given, "signed": "", "allowed_signers": ada}).Commit("rules")
	r.repo.Sign = signEve
	r.release(map[string]string{"allowed_signers": eve}, "by Eve, who lists herself")
	r.start()
	r.step()
	r.failsOther("by Eve")
	r.repo.Sign = signAda
	r.repo.Branch("release", first)
	want := r.release(map[string]string{"allowed_signers": ada, "motd": "two"}, "by Ada")
	r.stepOther()
	r.shows("production", want, 1)
}

// One that is wrong or away does not stop the others, and is told by name.
func TestBranchesFailApart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Put(map[string]string{"channels": given + " edge@unreachable"}).Commit("policy")
	good := r.release(nil, "good")
	r.start()
	r.step()
	r.stepOther()
	r.release(map[string]string{"bad": ""}, "does not compile")
	r.failsOther("is bad")
	r.repo.Remove("bad")
	next := r.repo.Put(map[string]string{"motd": "next"}).Commit("main goes on")
	r.step()
	r.shows("staging", next, 2)
	r.shows("production", good, 1)
	r.now = r.now.Add(r.c.cfg.PointerTTL / 3)
	r.failsOther("is bad")
	r.shows("production", good, 2) // its pointer stays fresh

	s := r.c.Status()
	if s.Failure != nil || len(s.Others) != 2 {
		t.Fatalf("the status is %+v", s)
	}
	if release := s.Others[0]; release.From != "release" || release.Failure == nil || release.Failure.Kind != FailedPolicy || !slices.Equal(release.Feeds, []string{"production"}) {
		t.Errorf("release: %+v, %+v", release, release.Failure)
	}
	if away := s.Others[1]; away.Failure == nil || away.Failure.Message != "no way there" || !slices.Equal(away.Feeds, []string{"edge"}) {
		t.Errorf("unreachable: %+v", away)
	}
	w := httptest.NewRecorder()
	r.c.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, want := range []string{`vigo_controller_failing{from="release",kind="policy"} 1`, `vigo_controller_failing{kind="policy"} 0`,
		`vigo_controller_pointer_seq{channel="production",from="release"} 2`, `vigo_controller_pointer_seq{channel="staging"} 2`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s is not among\n%s", want, w.Body)
		}
	}
}

// While the first controller runs, so do the others; they end with it.
func TestBranchesRunTogether(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Put(map[string]string{"channels": given}).Commit("policy")
	want := r.release(nil, "release")
	c := r.start()
	told := make(chan Status, 1000)
	c.cfg.Listener = listen(func(s Status) { told <- s })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	for s := range told {
		if len(s.Others) == 1 && len(s.Others[0].Channels) == 1 && s.Others[0].Channels[0].Commit == want {
			break
		}
	}
	cancel()
	if err := <-done; err != nil || len(c.others.all()) != 0 {
		t.Errorf("%v, %d are left", err, len(c.others.all()))
	}
}

type listen func(Status)

func (l listen) Note(s Status) { l(s) }
