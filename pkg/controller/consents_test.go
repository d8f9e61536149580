package controller

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/rollout"
)

// committer returns a line for allowed_signers, and what signs commits as that person.
func (r *rig) committer(names string) (line string, sign func([]byte) []byte) {
	r.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	return names + " " + string(ssh.MarshalAuthorizedKey(signer.PublicKey())), func(payload []byte) []byte {
		sig, err := sshsig.Sign(bytes.NewReader(payload), signer, sshsig.HashSHA512, "git")
		if err != nil {
			r.t.Error(err)
			return nil
		}
		return sshsig.Armor(sig)
	}
}

// TestConsents: a line of the file counts for who signed the commit that added it, when that is who it names, and who they were
// when the bundle was made.
func TestConsents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	annLine, ann := r.committer("ann,ann@example.com")
	bobLine, bob := r.committer("bob@example.com")
	eveLine, eve := r.committer("eve@example.com")
	const file = "rollouts/approvals/stable.yaml"
	spec := rollout.Spec{Stages: []rollout.Stage{{Name: "canary"}, {Name: "early", Approve: rollout.Approve{Count: 2, File: file}}, {Name: "rest", Approve: rollout.Approve{Count: 1}}}}
	made := r.repo.Put(map[string]string{"allowed_signers": annLine + bobLine}).Commit("the bundle")
	lines := "kind: Approvals\napprovals:\n"
	agree := func(sign func([]byte) []byte, stage, commit, by string) {
		r.repo.Sign = sign
		lines += fmt.Sprintf("  - {stage: %s, commit: %q, by: %s}\n", stage, commit, by)
		r.repo.Put(map[string]string{file: lines}).Commit(by + " agrees")
		r.repo.Sign = nil
	}
	agree(ann, "early", made[:12], "ann@example.com")
	agree(ann, "early", made, "bob@example.com") // ann says that bob agrees
	agree(nil, "canary", made, "ann")            // nobody signed
	agree(bob, "rest", made, "bob@example.com")  // that stage names no file
	agree(bob, "early", strings.Repeat("0", 40), "bob@example.com")
	r.repo.Put(map[string]string{"allowed_signers": annLine + bobLine + eveLine})
	agree(eve, "early", made, "eve@example.com") // who may sign since then only
	c := r.start()
	r.step()
	wanted := bundle.Target{Digest: "sha256:b", Commit: made}
	who := func() []string {
		t.Helper()
		found, err := c.consents(t.Context(), "stable", spec, wanted)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range found {
			names = append(names, f.Stage+" "+f.By)
		}
		return names
	}
	if got := who(); !slices.Equal(got, []string{"early ann,ann@example.com"}) {
		t.Errorf("agreed: %q\n%s", got, r.log.String())
	}
	for _, want := range []string{"is signed by ann,ann@example.com", "not listed"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	agree(bob, "early", made, "BOB@example.com")
	r.step()
	if got := who(); !slices.Equal(got, []string{"early ann,ann@example.com", "early bob@example.com"}) {
		t.Errorf("agreed: %q\n%s", got, r.log.String())
	}
	// Where commits are the only way, the controller counts them before it signs.
	spec.Stages[1].Approve.OnlyCommits = true
	opens := rollout.Signed{Stable: "sha256:a", Candidate: "sha256:b", Directive: &rollout.Directive{ID: "r1", Admit: []rollout.Admit{{Stage: "canary"}, {Stage: "early"}}}}
	both, err := c.consents(t.Context(), "stable", spec, wanted)
	if err != nil {
		t.Fatal(err)
	}
	twice := []rollout.Command{both[0], {Stage: "early", By: "ANN@example.org"}}
	for name, try := range map[string]struct {
		prev rollout.Signed
		by   []rollout.Command
		ok   bool
	}{
		"two people":                {rollout.Signed{}, both, true},
		"one":                       {rollout.Signed{}, both[:1], false},
		"one with two names":        {rollout.Signed{}, twice, false},
		"nobody any more, but open": {opens, nil, true},
	} {
		if err := consented(spec, try.prev, opens, try.by); (err == nil) != try.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Who takes the line away does not agree any more.
	r.repo.Remove(file).Commit("never mind")
	r.step()
	if got := who(); len(got) != 0 {
		t.Errorf("agreed: %q", got)
	}
}
