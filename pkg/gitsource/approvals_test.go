package gitsource

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"vigo.dev/pkg/gitsource/gitsourcetest"
)

// approve records an approval in the repository, signed in a namespace.
func (p person) approve(t *testing.T, repo *gitsourcetest.Repo, commit, branch, namespace string) {
	t.Helper()
	sign := p.sign(t, namespace)
	if _, _, err := Approve(t.Context(), repo.Dir, commit, branch, p.name, func(text []byte) ([]byte, error) { return sign(text), nil }); err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func TestApprovalsAreRead(t *testing.T) {
	t.Parallel()
	people := map[string]person{}
	for _, name := range []string{"ada", "bob", "carol", "dan", "eve", "fay", "gus"} {
		people[name] = newPerson(t, name)
	}
	who := signers(t, people["ada"].line("")+people["bob"].line(`namespaces="git,vigo-approval"`)+people["carol"].line(`namespaces="git"`)+
		people["dan"].line(`valid-before="20260101"`)+people["fay"].line("")+people["gus"].line(""))
	repo := gitsourcetest.New(t).Put(map[string]string{"a": "1"})
	other := repo.Commit("before")
	commit := repo.Put(map[string]string{"a": "2"}).Commit("after")
	people["ada"].approve(t, repo, commit, "main", ApprovalNamespace)
	people["bob"].approve(t, repo, commit, "main", ApprovalNamespace)
	people["carol"].approve(t, repo, commit, "main", ApprovalNamespace) // whose key is for commits only
	people["dan"].approve(t, repo, commit, "main", ApprovalNamespace)
	people["eve"].approve(t, repo, commit, "main", ApprovalNamespace)
	people["fay"].approve(t, repo, commit, "release", ApprovalNamespace)
	people["gus"].approve(t, repo, commit, "main", "git") // signed as a commit is
	people["ada"].approve(t, repo, other, "main", ApprovalNamespace)
	// An approval moved to another commit, a commit instead of a signature, and a file that is too long.
	ref := func(name string, hash plumbing.Hash) {
		t.Helper()
		if err := repo.Git.Storer.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(name), hash)); err != nil {
			t.Fatal(err)
		}
	}
	moved, err := repo.Git.Reference(plumbing.ReferenceName("refs/approvals/"+other+"/ada"), true)
	if err != nil {
		t.Fatal(err)
	}
	ref("refs/approvals/"+commit+"/moved", moved.Hash())
	ref("refs/approvals/"+commit+"/tree", plumbing.NewHash(commit))
	big := repo.Git.Storer.NewEncodedObject()
	big.SetType(plumbing.BlobObject)
	if w, err := big.Writer(); err != nil {
		t.Fatal(err)
	} else if _, err := w.Write(bytes.Repeat([]byte("x"), maxApproval+1)); err != nil {
		t.Fatal(err)
	}
	hash, err := repo.Git.Storer.SetEncodedObject(big)
	if err != nil {
		t.Fatal(err)
	}
	ref("refs/approvals/"+commit+"/big", hash)

	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	fetch(t, s)
	got, err := s.Approvals(t.Context(), []string{commit}, who, noon)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, a := range got {
		name := strings.TrimPrefix(a.Ref, "refs/approvals/"+commit+"/")
		reasons[name] = a.By + "|" + a.Reason
	}
	for name, want := range map[string]string{
		"ada": "ada@example.com|", "bob": "bob@example.com|", "carol": "not listed", "dan": "was good until", "eve": "not listed",
		"fay": "does not verify", "gus": "namespace", "moved": "does not verify", "tree": "not a file", "big": "more than",
	} {
		if !strings.Contains(reasons[name], want) || (want[len(want)-1] != '|') != strings.HasPrefix(reasons[name], "|") {
			t.Errorf("%s: %q, want %q", name, reasons[name], want)
		}
	}
	if len(got) != 10 {
		t.Errorf("%d approvals: %+v", len(got), got)
	}
	if names := who.Approvers(); !slices.Equal(names, []string{"ada@example.com", "bob@example.com", "dan@example.com", "fay@example.com", "gus@example.com"}) {
		t.Errorf("who may approve: %q", names)
	}
}

func TestApprovalsAreLimited(t *testing.T) {
	t.Parallel()
	ada := newPerson(t, "ada")
	repo := gitsourcetest.New(t).Put(map[string]string{"a": "1"})
	commit := repo.Commit("one")
	for i := range maxApprovals + 1 {
		ada.name = "ada" + strings.Repeat("x", i)
		ada.approve(t, repo, commit, "main", ApprovalNamespace)
	}
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	if _, err := s.Approvals(t.Context(), []string{commit}, Signers{}, noon); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("got %v", err)
	}
	if _, _, err := Approve(t.Context(), repo.Dir, "", "main", "../heads/main", nil); err == nil || !strings.Contains(err.Error(), "name of a ref") {
		t.Errorf("a name that leads elsewhere: %v", err)
	}
}

// What git and ssh-keygen write, as the manual has it, is read from the real server program.
func TestApprovalsOfGitOverHTTP(t *testing.T) {
	t.Parallel()
	git, err := exec.LookPath("git")
	if err == nil {
		_, err = exec.LookPath("ssh-keygen")
	}
	if err != nil {
		t.Skipf("%v; the gate installs it", err)
	}
	dir := t.TempDir()
	bare, work, key := filepath.Join(dir, "bare"), filepath.Join(dir, "work"), filepath.Join(dir, "key")
	ada := newPersonFile(t, "ada", key)
	script := `set -eu
git init -q --bare -b main "$BARE"; git init -q -b main "$WORK"; cd "$WORK"
git commit -q --allow-empty -m one
git push -q "$BARE" main
commit=$(git rev-parse HEAD)
printf 'vigo-approval 1\ncommit %s\nbranch main\n' "$commit" | ssh-keygen -q -Y sign -n vigo-approval -f "$KEY" >approval
git update-ref "refs/approvals/$commit/ada" "$(git hash-object -w approval)"
git push -q "$BARE" 'refs/approvals/*:refs/approvals/*'
git push -q "$BARE" "main:refs/approvals/$commit/commit"
`
	cmd := exec.Command("sh", "-c", script)
	cmd.Env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "BARE="+bare, "WORK="+work, "KEY="+key,
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@b.c", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@b.c")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	server := httptest.NewServer(&cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{
		"GIT_PROJECT_ROOT=" + bare, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*",
	}})
	defer server.Close()
	data := t.TempDir()
	s := open(t, Options{URL: server.URL, Dir: data})
	c := fetch(t, s)
	got, err := s.Approvals(t.Context(), []string{c.Hash}, signers(t, ada.line("")), noon)
	want := []Approval{
		{Ref: "refs/approvals/" + c.Hash + "/ada", Commit: c.Hash, By: "ada@example.com"},
		{Ref: "refs/approvals/" + c.Hash + "/commit", Commit: c.Hash, Reason: "it is not a file with a signature, or it moved meanwhile"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := os.Stat(filepath.Join(data, "approvals.tmp")); !os.IsNotExist(err) {
		t.Errorf("left behind: %v", err)
	}
	// Not there and could not look differ.
	if got, err := s.Approvals(t.Context(), []string{strings.Repeat("0", 40)}, Signers{}, noon); err != nil || len(got) != 0 {
		t.Errorf("of a commit without: %v, %v", got, err)
	}
	server.Close()
	if _, err := s.Approvals(t.Context(), []string{c.Hash}, Signers{}, noon); err == nil {
		t.Error("a server that is gone has no approvals")
	}
}

// newPersonFile makes a person whose key is in a file, too.
func newPersonFile(t *testing.T, name, path string) person {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return person{name, signer}
}

func TestStepsOfABranch(t *testing.T) {
	t.Parallel()
	ada := newPerson(t, "ada")
	repo := gitsourcetest.New(t).Put(map[string]string{"a": "1"})
	base := repo.Commit("base")
	side := repo.Put(map[string]string{"b": "1"}).Commit("side")
	repo.Remove("b").Put(map[string]string{"a": "2"})
	pushed := repo.CommitOn("pushed", plumbing.NewHash(base))
	repo.Sign = ada.sign(t, "git")
	merge := repo.Put(map[string]string{"b": "1"}).CommitOn("merge", plumbing.NewHash(pushed), plumbing.NewHash(side))
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	tip := fetch(t, s)
	who := signers(t, strings.Replace(ada.line(""), "ada@example.com", "Laptop,ada@home.example", 1))
	steps, err := s.Steps(t.Context(), base, tip, who)
	if err != nil || len(steps) != 2 {
		t.Fatalf("%+v, %v", steps, err)
	}
	if one := steps[0]; one.Commit.Hash != pushed || len(one.Merged) != 0 || !slices.Equal(one.Authors, []string{"ada@example.com"}) {
		t.Errorf("first: %+v", one)
	}
	if two := steps[1]; two.Commit.Hash != merge || !slices.Equal(two.Merged, []string{side}) || !slices.Equal(two.Authors, []string{"ada@example.com", "ada@home.example", "laptop"}) {
		t.Errorf("second: %+v", two)
	}
	if alone, err := s.Steps(t.Context(), "", tip, Signers{}); err != nil || len(alone) != 1 || alone[0].Commit.Hash != merge {
		t.Errorf("from nothing: %+v, %v", alone, err)
	}
	if none, err := s.Steps(t.Context(), merge, tip, Signers{}); err != nil || len(none) != 0 {
		t.Errorf("from itself: %+v, %v", none, err)
	}
}
