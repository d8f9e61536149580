package controller

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"vigo.dev/pkg/forge"
)

// fakeForge answers from a map, and remembers what it was told.
type fakeForge struct {
	mu       sync.Mutex
	requests map[string][]forge.Request
	err      error
	asked    int
	told     chan forge.State
}

func (f *fakeForge) Requests(_ context.Context, commit, branch string) ([]forge.Request, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if branch != "main" {
		return nil, errors.New("another branch")
	}
	return f.requests[commit], f.err
}

func (f *fakeForge) Tell(_ context.Context, _ string, s forge.State) error {
	f.told <- s
	return nil
}

func (f *fakeForge) Link(commit, name string, _ int) string { return commit + "/" + name }

// merges makes a commit beside main and merges it, as the button of a forge does.
func (r *rig) merges(motd string) (merge, head string) {
	r.t.Helper()
	main, err := r.repo.Git.Reference("refs/heads/main", true)
	if err != nil {
		r.t.Fatal(err)
	}
	head = r.repo.Put(map[string]string{"motd": motd}).CommitOn("change "+motd, main.Hash())
	return r.repo.CommitOn("merge "+motd, main.Hash(), plumbing.NewHash(head)), head
}

func TestReviewsAtTheForgeCount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := &fakeForge{requests: map[string][]forge.Request{}}
	r.forge = f
	bob, byBob := r.approver("bob")
	r.repo.Put(map[string]string{"allowed_signers": bob,
		"approvals": "{count: 2, from: [ada@example.com @Ada, bob@example.com @bob, carol@example.com @carol, eve@example.com @eve]}"}).Commit("rules")
	r.start()
	first := r.repo.Commit("held against itself")
	request := func(number int64, head string, approved ...string) []forge.Request {
		return []forge.Request{{Number: number, Author: "eve", Head: head, Approved: approved}}
	}
	f.requests[first] = request(1, first, "Carol", "bob", "stranger")
	r.step()
	if got := r.origin().Approvals; !slices.Equal(got, []string{"@Carol #1", "@bob #1"}) {
		t.Errorf("approved by %q", got)
	}

	// The author of the commit and whoever opened the request do not count, nor do two names of one person count twice.
	merge, head := r.merges("two")
	f.requests[merge] = request(2, head, "bob", "ada", "eve")
	byBob(merge)
	r.refuses(FailedApproval, "only bob@example.com; not counted, being the author: @ada #2, @eve #2")
	// A merge of something else than what was reviewed.
	f.requests[merge] = request(2, first, "bob", "carol")
	r.now = r.now.Add(askAgain)
	r.refuses(FailedApproval, "merges something else")
	// An approval of what is not there any more.
	f.requests[merge] = []forge.Request{{Number: 2, Author: "eve", Head: head, Stale: []string{"carol"}}}
	r.now = r.now.Add(askAgain)
	r.refuses(FailedApproval, "@carol approved #2 before its last commit")

	// The forge is asked again after a while, or at once when it nudges.
	f.requests[merge] = request(2, head, "carol")
	before := f.asked
	r.refuses(FailedApproval, "@carol approved #2")
	if f.asked != before {
		t.Error("the forge is asked at every look")
	}
	if code := postHook(r.c, "{}", "X-Gitlab-Token", "hush"); code != http.StatusAccepted {
		t.Fatalf("the hook is answered with %d", code)
	}
	r.step()
	if p := r.pointer("staging"); p.Stable.Commit != merge {
		t.Errorf("the pointer names %s", p.Stable.Commit)
	}

	// Not approved, and could not look.
	r.merges("three")
	f.err = errors.New("the forge is on fire")
	r.refuses(FailedForge, "on fire")
	f.err = nil
	r.refuses(FailedApproval, "nobody has")
}

func TestTheForgeIsNotAskedWithoutEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := &fakeForge{}
	r.forge = f
	bob, byBob := r.approver("bob")
	r.repo.Put(map[string]string{"allowed_signers": bob}).Commit("first")
	r.start()
	r.step()
	r.repo.Put(map[string]string{"approvals": "{count: 1, from: [bob@example.com @bob]}"}).Commit("rules")
	r.step()
	var last string
	for i := range maxAsked + 1 {
		last = r.repo.Put(map[string]string{"motd": strings.Repeat("x", i+1)}).Commit("change")
	}
	r.refuses(FailedForge, "asked about 50 at most")
	byBob(last)
	r.step()
	if f.asked != 0 {
		t.Errorf("asked %d times", f.asked)
	}
}
