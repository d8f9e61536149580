package controller

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/gitsource"
)

// approver returns a line for allowed_signers and what approves commits on main as that person.
func (r *rig) approver(name string) (line string, approve func(commit string)) {
	r.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	return name + "@example.com " + string(ssh.MarshalAuthorizedKey(signer.PublicKey())), func(commit string) {
		r.t.Helper()
		_, _, err := gitsource.Approve(r.t.Context(), r.repo.Dir, commit, "main", name, func(text []byte) ([]byte, error) {
			sig, err := sshsig.Sign(bytes.NewReader(text), signer, sshsig.HashSHA512, gitsource.ApprovalNamespace)
			if err != nil {
				return nil, err
			}
			return sshsig.Armor(sig), nil
		})
		if err != nil {
			r.t.Fatal(err)
		}
	}
}

// origin reads where the published bundle is from.
func (r *rig) origin() bundle.Origin {
	r.t.Helper()
	p := r.pointer("staging")
	var m bundle.Manifest
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Stable.Digest, Size: p.Stable.Size}
	if err := fetchJSON(r.t.Context(), r.store, d, &m); err != nil {
		r.t.Fatal(err)
	}
	var config bundle.Config
	if err := fetchJSON(r.t.Context(), r.store, m.Config, &config); err != nil {
		r.t.Fatal(err)
	}
	return config.Source
}

// The rig commits as ada@example.com.
func TestOnlyApprovedCommitsArePublished(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ada, byAda := r.approver("ada")
	bob, byBob := r.approver("bob")
	carol, byCarol := r.approver("carol")
	eve, byEve := r.approver("eve")
	r.repo.Put(map[string]string{"allowed_signers": ada + bob + carol + eve}).Commit("before there were rules")
	r.start()
	r.step()
	// Turning the rules on needs nobody: what was accepted before did not ask for it.
	r.repo.Put(map[string]string{"approvals": "{count: 2, from: [ada@example.com, bob@example.com, carol@example.com]}"}).Commit("rules")
	r.step()

	two := r.repo.Put(map[string]string{"motd": "two"}).Commit("two")
	r.refuses(FailedApproval, "nobody has")
	byAda(two) // who wrote it
	byBob(two)
	byEve(two) // who may sign, and not approve
	r.refuses(FailedApproval, "only bob@example.com; not counted, being the author: ada@example.com")
	// A commit cannot do away with the rule, and what is below counts.
	top := r.repo.Put(map[string]string{"motd": "three"}).Remove("approvals").Commit("no rules any more")
	r.refuses(FailedApproval, "no rules any more")
	if hints := r.c.Status().Failure.Hints; len(hints) == 0 || !strings.Contains(hints[0], "vigo approve-commit "+top[:12]) {
		t.Errorf("hints are %q", hints)
	}
	// Who approves the top approves what is below; it takes effect without another commit.
	byCarol(top)
	r.refuses(FailedApproval, `"no rules any more" by Ada <ada@example.com>: only carol@example.com`)
	byBob(top)
	r.step()
	if p := r.pointer("staging"); p.Stable.Commit != top {
		t.Errorf("the pointer names %s", p.Stable.Commit)
	}
	want := []string{"bob@example.com", "carol@example.com"}
	if got := r.origin().Approvals; !slices.Equal(got, want) {
		t.Errorf("the bundle says it is approved by %q", got)
	}
	if got := r.c.Status().Approvals; !slices.Equal(got, want) {
		t.Errorf("the status says it is approved by %q", got)
	}
	// A registry that lost everything gets the same bundle again, without anybody approving it again.
	digest := r.pointer("staging").Stable.Digest
	if err := os.RemoveAll(r.store.dir); err != nil {
		t.Fatal(err)
	}
	r.store = newDirStore(t, r.store.dir)
	r.start()
	r.step()
	r.step()
	if got := r.pointer("staging").Stable.Digest; got != digest {
		t.Errorf("the bundle is %s, was %s", got, digest)
	}
}

func TestAnApprovalOfSomethingElseDoesNotCount(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	bob, byBob := r.approver("bob")
	_, byStranger := r.approver("mallory")
	first := r.repo.Put(map[string]string{"allowed_signers": bob, "approvals": "{count: 1}"}).Commit("held against itself")
	r.start()
	if err := r.c.Step(t.Context()); err == nil || r.c.Status().Failure.Kind != FailedApproval {
		t.Fatalf("got %v", err)
	}
	byBob(first)
	r.step()
	next := r.repo.Put(map[string]string{"motd": "two"}).Commit("two")
	byBob(first)
	byStranger(next)
	r.refuses(FailedApproval, "mallory: it is signed with the key SHA256:")
	// The approval of one commit under the name of another.
	ref, err := r.repo.Git.Reference(plumbing.ReferenceName("refs/approvals/"+first+"/bob"), true)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.repo.Git.Storer.SetReference(plumbing.NewHashReference(plumbing.ReferenceName("refs/approvals/"+next+"/bob"), ref.Hash())); err != nil {
		t.Fatal(err)
	}
	r.refuses(FailedApproval, "does not verify")
	byBob(next)
	r.step()
	// Nobody is locked out.
	r.repo.Put(map[string]string{"approvals": "{count: 2}"})
	byBob(r.repo.Commit("more than there are"))
	r.refuses(FailedPolicy, "2 approvals are asked for, and only 1 may give them")
	data, err := json.Marshal(r.c.Status())
	if err != nil || !strings.Contains(string(data), `"approvals":["bob@example.com"]`) {
		t.Errorf("%s, %v", data, err)
	}
}
