package controller

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// A branch that was rewritten is followed when the operator names its new tip, which is told. The rules of what was published
// still hold.
func TestARewriteThatTheOperatorAllows(t *testing.T) {
	t.Parallel()
	ada, signAda := committer(t, "ada")
	r := newRig(t)
	r.repo.Sign = signAda
	base := r.repo.Put(map[string]string{"signed": "", "allowed_signers": ada}).Commit("base")
	old := r.repo.Put(map[string]string{"motd": "two"}).Commit("published")
	r.start()
	r.step()

	r.repo.Sign = nil
	r.allow = r.repo.Put(map[string]string{"motd": "three"}).CommitOn("forced, not signed", plumbing.NewHash(base))
	r.refuses(FailedGit, "1 published commits would be lost")
	r.start()
	r.refuses(FailedTrust, "forced, not signed")

	r.repo.Sign = signAda
	r.allow = r.repo.CommitOn("forced", plumbing.NewHash(base))
	r.refuses(FailedGit, "was rewritten")
	r.start()
	r.step()
	if p := r.pointer("staging"); p.Stable.Commit != r.allow || p.Seq != 2 {
		t.Errorf("the pointer %s names %s", p.Version(), p.Stable.Commit)
	}
	told := r.c.Status().Rewrite
	if told == nil || told.Old != old || told.New != r.allow || told.Branch != "main" {
		t.Errorf("told is %+v", told)
	}
	if want := "old=" + old + " new=" + r.allow; strings.Count(r.log.String(), want) != 1 {
		t.Errorf("the log does not say %q once:\n%s", want, r.log.String())
	}
	// What is allowed is one commit, not a way of life.
	r.repo.Put(map[string]string{"motd": "four"}).CommitOn("forced again", plumbing.NewHash(base))
	r.refuses(FailedGit, "was rewritten")
}

// When the copy was lost as well, nothing is left of what was published: the operator's word is enough to go on.
func TestARewriteOfWhatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	base := r.repo.Commit("base")
	r.repo.Put(map[string]string{"motd": "two"}).Commit("published")
	r.start()
	r.step()
	r.allow = r.repo.Put(map[string]string{"motd": "three"}).CommitOn("forced", plumbing.NewHash(base))
	if err := os.RemoveAll(filepath.Join(r.data, "git", "repo.git")); err != nil {
		t.Fatal(err)
	}
	allowed := r.allow
	r.allow = ""
	r.start()
	r.refuses(FailedGit, "was rewritten")
	r.allow = allowed
	r.start()
	r.step()
	if p := r.pointer("staging"); p.Stable.Commit != allowed {
		t.Errorf("the pointer names %s", p.Stable.Commit)
	}
	if !strings.Contains(r.log.String(), "held against its own rules") {
		t.Error("the log does not say so")
	}
}
