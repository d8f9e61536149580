package controller

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/policy"
)

// committer returns a line for allowed_signers and what signs commits as that person.
func committer(t *testing.T, name string) (line string, sign func([]byte) []byte) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return name + "@example.com " + string(ssh.MarshalAuthorizedKey(signer.PublicKey())), func(payload []byte) []byte {
		sig, err := sshsig.Sign(bytes.NewReader(payload), signer, sshsig.HashSHA512, "git")
		if err != nil {
			t.Error(err)
			return nil
		}
		return sshsig.Armor(sig)
	}
}

// refuses fails unless the last step published nothing, because of this.
func (r *rig) refuses(kind, want string) {
	r.t.Helper()
	before := r.pointer("staging")
	if err := r.c.Step(r.t.Context()); err == nil {
		r.t.Fatal("the commit is published")
	}
	f := r.c.Status().Failure
	if f == nil || f.Kind != kind || !strings.Contains(f.Message, want) {
		r.t.Fatalf("the failure is %+v, want %s with %q", f, kind, want)
	}
	if after := r.pointer("staging"); after.Seq != before.Seq {
		r.t.Errorf("the pointer went on to %s", after.Version())
	}
}

func TestOnlySignedCommitsArePublished(t *testing.T) {
	t.Parallel()
	ada, signAda := committer(t, "ada")
	eve, signEve := committer(t, "eve")
	r := newRig(t)
	r.repo.Commit("before there were rules")
	r.start()
	r.step()
	// Turning the rules on needs no signature: what was accepted before did not ask for one.
	r.repo.Put(map[string]string{"signed": "", "allowed_signers": ada, "motd": "two"}).Commit("rules")
	r.step()

	r.repo.Put(map[string]string{"motd": "three"}).Commit("not signed")
	r.refuses(FailedTrust, "not signed")
	// A commit cannot let its author in, nor turn the rules off.
	r.repo.Sign = signEve
	r.repo.Put(map[string]string{"allowed_signers": ada + eve}).Remove("signed")
	r.repo.Commit("me too")
	r.refuses(FailedTrust, "me too")
	// Signing on top does not help what is below.
	r.repo.Sign = signAda
	r.repo.Put(map[string]string{"motd": "four"}).Commit("signed")
	r.refuses(FailedTrust, "not signed")
}

func TestSignersMaySignInOthers(t *testing.T) {
	t.Parallel()
	ada, signAda := committer(t, "ada")
	bob, signBob := committer(t, "bob")
	r := newRig(t)
	r.repo.Sign = signAda
	r.repo.Put(map[string]string{"signed": "", "allowed_signers": ada}).Commit("the first, held against itself")
	r.start()
	r.step()
	r.repo.Put(map[string]string{"allowed_signers": ada + bob}).Commit("bob may, too")
	r.step()
	r.start() // the rules hold over a restart
	r.repo.Sign = signBob
	want := r.repo.Put(map[string]string{"motd": "two"}).Commit("by bob")
	r.step()
	if p := r.pointer("staging"); p.Stable.Commit != want {
		t.Errorf("the pointer names %s", p.Stable.Commit)
	}
	// Nobody is locked out by a file that cannot be read, or that is empty.
	r.repo.Put(map[string]string{"allowed_signers": "bob"}).Commit("a mistake")
	r.refuses(FailedPolicy, "allowed_signers:1")
	r.repo.Put(map[string]string{"allowed_signers": "# nobody\n"}).Commit("another")
	r.refuses(FailedPolicy, "nobody may sign")
	mended := r.repo.Put(map[string]string{"allowed_signers": ada + bob, "motd": "three"}).Commit("mended")
	r.step()
	if p := r.pointer("staging"); p.Stable.Commit != mended {
		t.Errorf("the pointer names %s", p.Stable.Commit)
	}
}

func TestAFirstCommitThatBreaksItsOwnRules(t *testing.T) {
	t.Parallel()
	ada, _ := committer(t, "ada")
	r := newRig(t)
	r.repo.Put(map[string]string{"signed": "", "allowed_signers": ada}).Commit("not signed")
	r.start()
	if err := r.c.Step(t.Context()); !errors.Is(err, gitsource.ErrNotSigned) {
		t.Errorf("got %v", err)
	}
}

func TestPolicyRules(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]bool{"": false, "trust: {commits: any}\n": false, "trust: {commits: signed}\n": true} {
		got, err := PolicyRules(fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\n" + yaml)}})
		if err != nil || got.SignedCommits != want {
			t.Errorf("%q: %+v, %v", yaml, got, err)
		}
	}
	got, err := PolicyRules(fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\ntrust: {approvals: {count: 1, from: [Ada@example.com @Ada, bob@example.com]}}\n")}})
	want := policy.Approvals{Count: 1, From: []policy.Person{{"ada@example.com", "@ada"}, {"bob@example.com"}}, NotAuthor: true}
	if err != nil || !cmp.Equal(got.Approvals, want) {
		t.Errorf("%+v, %v", got, err)
	}
	_, err = PolicyRules(fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\ntrust: {commits: sinned}\n")}})
	if err == nil || !strings.Contains(err.Error(), `did you mean "signed"?`) {
		t.Errorf("got %v", err)
	}
}

func TestApprovalRulesThatCannotBe(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]string{
		"{}":                      `approvals need the key "count"`,
		"{count: 0}":              "count must be a number from 1 to 20",
		"{count: two}":            "count must be a number",
		"{count: 1, of: [a]}":     `"of"`,
		"{count: 1, from: ada}":   "from must be a list of people",
		"{count: 1, from: []}":    "from must be a list of people",
		"{count: 1, from: ['']}":  "a person needs a name",
		"{count: 1, from: ['@']}": "a person needs a name",
		"{count: 3, from: [ada@example.com, bob@example.com]}": "3 approvals are asked for, and only 2 may give them",
		"{count: 1, from: [ada@example.com @a, bob@x.com @A]}": "@A is named twice",
		"{count: 1, from: ['@ada']}":                           "cannot be told without the address they commit with",
	} {
		_, err := PolicyRules(fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\ntrust: {approvals: " + yaml + "}\n")}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", yaml, err, want)
		}
	}
	if _, err := PolicyRules(fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\ntrust: {approvals: {count: 1, from: ['@ada'], not_author: false}}\n")}}); err != nil {
		t.Error(err)
	}
}
