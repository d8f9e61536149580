package gitsource

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"vigo.dev/pkg/gitsource/gitsourcetest"
)

// TestChanges finds who made what of a file, also on a side branch, and not who brought it in.
func TestChanges(t *testing.T) {
	t.Parallel()
	ada, bob, eve := newPerson(t, "ada"), newPerson(t, "bob"), newPerson(t, "eve")
	who := signers(t, ada.line("")+bob.line(""))
	repo := gitsourcetest.New(t)
	const file = "rollouts/approvals/stable.yaml"
	repo.Sign = ada.sign(t, "git")
	repo.Put(map[string]string{"a": "1", file: "one"}).Commit("long ago")
	from := repo.Put(map[string]string{"a": "2"}).Commit("the bundle")
	repo.Sign = bob.sign(t, "git")
	side := repo.Put(map[string]string{file: "two"}).Commit("bob agrees")
	repo.Sign = ada.sign(t, "git")
	repo.CommitOn("ada merges", plumbing.NewHash(from), plumbing.NewHash(side))
	repo.Put(map[string]string{"a": "3"}).Commit("something else")
	repo.Sign = eve.sign(t, "git")
	repo.Put(map[string]string{file: "three"}).Commit("a stranger")
	repo.Sign = nil
	to := repo.Remove(file).Commit("nobody")

	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	fetch(t, s)
	changes, err := s.Changes(t.Context(), from, to, file, who, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprintf("%s: %s -> %s by %q", c.Commit.Subject, c.Before, c.After, c.By))
		if (c.By == "") != (c.Reason != "") {
			t.Errorf("%+v", c)
		}
	}
	slices.Sort(got)
	want := []string{`a stranger: two -> three by ""`, `bob agrees: one -> two by "bob@example.com"`, `nobody: three ->  by ""`}
	if !slices.Equal(got, want) {
		t.Errorf("got %s", strings.Join(got, "\n"))
	}
	if none, err := s.Changes(t.Context(), to, to, file, who, 1000); err != nil || len(none) != 0 {
		t.Errorf("between a commit and itself: %v, %v", none, err)
	}
	if _, err := s.Changes(t.Context(), from, to, file, who, 2); !errors.Is(err, ErrLimit) {
		t.Errorf("a file that is too large: %v", err)
	}
}
