package gitsource

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"

	"vigo.dev/pkg/gitsource/gitsourcetest"
)

// person has an SSH key.
type person struct {
	name   string
	signer ssh.Signer
}

func newPerson(t *testing.T, name string) person {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return person{name, signer}
}

// line is the person's line in allowed_signers.
func (p person) line(options string) string {
	return p.name + "@example.com " + options + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p.signer.PublicKey()))) + " laptop\n"
}

// sign signs in a namespace, as git does in that of git.
func (p person) sign(t *testing.T, namespace string) func([]byte) []byte {
	return func(payload []byte) []byte {
		sig, err := sshsig.Sign(bytes.NewReader(payload), p.signer, sshsig.HashSHA512, namespace)
		if err != nil {
			t.Error(err)
			return nil
		}
		return sshsig.Armor(sig)
	}
}

func signers(t *testing.T, allowed string) Signers {
	t.Helper()
	s, err := ParseSigners([]byte(allowed), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verify fetches the tip of a repository and verifies what it adds to from.
func verify(t *testing.T, repo *gitsourcetest.Repo, from string, who Signers) error {
	t.Helper()
	s := open(t, Options{URL: repo.Dir, Dir: t.TempDir()})
	return s.Verify(t.Context(), from, fetch(t, s), who)
}

// Every commit that is new counts, not only the tip; what was accepted before does not.
func TestEveryNewCommitMustBeSigned(t *testing.T) {
	t.Parallel()
	ada, eve := newPerson(t, "ada"), newPerson(t, "eve")
	who := signers(t, ada.line(""))
	repo := gitsourcetest.New(t)
	old := repo.Put(map[string]string{"a": "1"}).Commit("of before signing")
	repo.Sign = ada.sign(t, "git")
	first := repo.Put(map[string]string{"a": "2"}).Commit("signed")
	if err := verify(t, repo, old, who); err != nil {
		t.Errorf("a signed commit: %v", err)
	}
	repo.Sign = nil
	repo.Put(map[string]string{"a": "3"}).Commit("slipped in")
	repo.Sign = eve.sign(t, "git")
	repo.Put(map[string]string{"a": "4"}).Commit("by a stranger")
	repo.Sign = ada.sign(t, "git")
	repo.Put(map[string]string{"a": "5"}).Commit("signed over it")
	err := verify(t, repo, first, who)
	var refused *UnsignedError
	if !errors.As(err, &refused) || len(refused.Commits) != 2 || !errors.Is(err, ErrNotSigned) {
		t.Fatalf("got %v, want two commits that are not signed", err)
	}
	if refused.Commits[0].Subject != "slipped in" || refused.Commits[1].Subject != "by a stranger" {
		t.Errorf("%v", err)
	}
	if err := verify(t, repo, "", who); err != nil {
		t.Errorf("the tip alone: %v", err)
	}
}

// A merge brings in the commits of its side branch, and they are checked, too.
func TestASideBranchIsChecked(t *testing.T) {
	t.Parallel()
	ada := newPerson(t, "ada")
	repo := gitsourcetest.New(t)
	repo.Sign = ada.sign(t, "git")
	base := repo.Put(map[string]string{"a": "1"}).Commit("base")
	repo.Sign = nil
	side := repo.Put(map[string]string{"b": "1"}).Commit("side, not signed")
	repo.Sign = ada.sign(t, "git")
	repo.CommitOn("merge", plumbing.NewHash(base), plumbing.NewHash(side))
	var refused *UnsignedError
	if err := verify(t, repo, base, signers(t, ada.line(""))); !errors.As(err, &refused) || refused.Commits[0].Subject != "side, not signed" {
		t.Errorf("got %v", err)
	}
}

func TestSignaturesThatDoNotCount(t *testing.T) {
	t.Parallel()
	ada, bob := newPerson(t, "ada"), newPerson(t, "bob")
	for name, tt := range map[string]struct {
		allowed string
		sign    func([]byte) []byte
		want    string
	}{
		"of a file, not of a commit": {ada.line(""), ada.sign(t, "file"), "namespace"},
		"of another commit":          {ada.line(""), func([]byte) []byte { return ada.sign(t, "git")([]byte("tree 0\n\nother")) }, "does not verify"},
		"of somebody else":           {ada.line(""), bob.sign(t, "git"), "not listed"},
		"by a key for files only":    {ada.line(`namespaces="file"`), ada.sign(t, "git"), "not listed"},
		"before the key's time":      {ada.line(`valid-after="20270101"`), ada.sign(t, "git"), "is good from"},
		"after the key's time":       {ada.line(`valid-before="20251231"`), ada.sign(t, "git"), "was good until"},
		"garbage":                    {ada.line(""), func([]byte) []byte { return []byte("-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----") }, "cannot be read"},
		"of another kind":            {ada.line(""), func([]byte) []byte { return []byte("-----BEGIN SIGNED MESSAGE-----\nAAAA") }, "neither"},
		"of OpenPGP without a key": {ada.line(""), func([]byte) []byte {
			return []byte("-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----")
		}, KeyringFile},
		"two": {ada.line(""), func(payload []byte) []byte {
			one := ada.sign(t, "git")(payload)
			return append(append(bytes.ReplaceAll(bytes.TrimSpace(one), []byte("\n"), []byte("\n ")), "\ngpgsig "...), one...)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := gitsourcetest.New(t)
			repo.Sign = tt.sign
			repo.Put(map[string]string{"a": "1"}).Commit("x")
			err := verify(t, repo, "", signers(t, tt.allowed))
			if !errors.Is(err, ErrNotSigned) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want that it is not signed because of %q", err, tt.want)
			}
		})
	}
}

func TestOpenPGPCounts(t *testing.T) {
	t.Parallel()
	entity, err := openpgp.NewEntity("Ada", "", "ada@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var keyring bytes.Buffer
	w, err := armor.Encode(&keyring, openpgp.PublicKeyType, nil)
	if err == nil {
		err = errors.Join(entity.Serialize(w), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	who, err := ParseSigners(nil, keyring.Bytes())
	if err != nil || who.None() {
		t.Fatal(err)
	}
	repo := gitsourcetest.New(t)
	repo.Now(entity.PrimaryKey.CreationTime)
	repo.Sign = func(payload []byte) []byte {
		var sig bytes.Buffer
		if err := openpgp.ArmoredDetachSign(&sig, entity, bytes.NewReader(payload), nil); err != nil {
			t.Error(err)
		}
		return sig.Bytes()
	}
	repo.Put(map[string]string{"a": "1"}).Commit("signed")
	if err := verify(t, repo, "", who); err != nil {
		t.Error(err)
	}
	if err := verify(t, repo, "", signers(t, newPerson(t, "bob").line(""))); !errors.Is(err, ErrNotSigned) {
		t.Errorf("without the keyring: %v", err)
	}
}

func TestBadSignersAreNamedWithTheirLines(t *testing.T) {
	t.Parallel()
	ada := newPerson(t, "ada")
	_, err := ParseSigners([]byte("# people\n"+ada.line("")+"\nbob\ncarol "+`cert-authority ssh-ed25519 AAAA`+"\n"+ada.line(`zone="x"`)+ada.line(`valid-after="tomorrow"`)), []byte("no key"))
	if err == nil {
		t.Fatal("all of it is accepted")
	}
	for _, want := range []string{"allowed_signers:4:", "allowed_signers:5:", `allowed_signers:6: the option "zone" is not known`, `allowed_signers:7: "tomorrow"`, "allowed_signers.asc:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not told in\n%v", want, err)
		}
	}
}

// What git itself signs with ssh-keygen is accepted.
func TestCommitsOfGit(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"git", "ssh-keygen"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed; the gate installs it", program)
		}
	}
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	work := filepath.Join(dir, "work")
	run := func(argv ...string) {
		t.Helper()
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com",
			"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", argv, err, out)
		}
	}
	run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
	run("git", "init", "-q", "-b", "main", work)
	commit := []string{"git", "-C", work, "-c", "gpg.format=ssh", "-c", "user.signingkey=" + key, "commit", "-q", "--allow-empty", "-m"}
	run(append(commit, "signed\n\nwith a body", "-S")...)
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	who := signers(t, `ada@example.com namespaces="git" `+string(public))
	s := open(t, Options{URL: work, Dir: t.TempDir()})
	first := fetch(t, s)
	if err := s.Verify(t.Context(), "", first, who); err != nil {
		t.Error(err)
	}
	run(append(commit, "not signed")...)
	if err := s.Verify(t.Context(), first.Hash, fetch(t, s), who); !errors.Is(err, ErrNotSigned) {
		t.Errorf("got %v", err)
	}
}

func FuzzCutSignature(f *testing.F) {
	f.Add([]byte("tree 1\nauthor a\ngpgsig -----BEGIN\n x\n -----END\nencoding x\n\nmessage\n"))
	f.Add([]byte("gpgsig "))
	f.Fuzz(func(t *testing.T, raw []byte) {
		payload, signature, err := cutSignature(raw)
		if err == nil && len(payload)+len(signature) > len(raw) {
			t.Errorf("%d and %d bytes out of %d", len(payload), len(signature), len(raw))
		}
	})
}

func FuzzParseSigners(f *testing.F) {
	f.Add([]byte("ada@example.com namespaces=\"git\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOwzpmkGxYTVL3jd+nHFvEY1nW9zIYOJ8lsHZ1DXWUkW laptop"), []byte(""))
	f.Fuzz(func(t *testing.T, allowed, keyring []byte) {
		s, err := ParseSigners(allowed, keyring)
		if err == nil && len(s.ssh) > bytes.Count(allowed, []byte("\n"))+1 {
			t.Errorf("%d signers on %d lines", len(s.ssh), bytes.Count(allowed, []byte("\n"))+1)
		}
	})
}
