package gitsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"vigo.dev/pkg/fault"
)

var approverRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9@+_-]*(\.[A-Za-z0-9@+_-]+)*$`)

// Approve records in the repository that dir is in that somebody approves a commit on a branch: sign signs the text as
// [ApprovalNamespace]. who becomes part of the ref; if it is empty, that is the address git commits with. It returns the commit and the ref, which is to be pushed to where the controller looks. rev is
// anything git understands; empty means HEAD.
func Approve(ctx context.Context, dir, rev, branch, who string, sign func(text []byte) ([]byte, error)) (Commit, string, error) {
	if who == "" {
		var err error
		if who, err = committerOf(dir); err != nil {
			return Commit{}, "", err
		}
	}
	if !approverRule.MatchString(who) {
		return Commit{}, "", fault.WithHint(fmt.Errorf("approving: %q cannot be part of the name of a ref", who), "letters, digits, and . @ + _ - between them")
	}
	w, err := Worktree(ctx, dir, rev)
	if err != nil {
		return Commit{}, "", err
	}
	ref, err := w.approve(branch, who, sign)
	return w.Commit, ref, errors.Join(err, w.Close())
}

// committerOf reads user.email of a repository, or of the user.
func committerOf(dir string) (string, error) {
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	if err != nil {
		return "", fmt.Errorf("opening %s: %w", dir, err)
	}
	defer closeLocal(repo)
	conf, err := repo.ConfigScoped(config.GlobalScope)
	if err != nil {
		return "", fmt.Errorf("reading the configuration of git: %w", err)
	}
	if who := strings.ToLower(conf.User.Email); who != "" {
		return who, nil
	}
	return "", fault.WithHint(errors.New("approving: git does not know who you are"), "name yourself, or `git config user.email ada@example.com`")
}

func (w *Snapshot) approve(branch, who string, sign func(text []byte) ([]byte, error)) (string, error) {
	signature, err := sign(ApprovalText(w.Commit.Hash, branch))
	if err != nil {
		return "", fmt.Errorf("signing the approval: %w", err)
	}
	store := w.objects.store
	blob := store.NewEncodedObject()
	blob.SetType(plumbing.BlobObject)
	out, err := blob.Writer()
	if err == nil {
		_, err = out.Write(signature)
		err = errors.Join(err, out.Close())
	}
	if err != nil {
		return "", fmt.Errorf("writing the approval: %w", err)
	}
	hash, err := store.SetEncodedObject(blob)
	if err != nil {
		return "", fmt.Errorf("writing the approval: %w", err)
	}
	name := approvalPrefix + w.Commit.Hash + "/" + who
	if err := store.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(name), hash)); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	return name, nil
}

// SSHApprover signs approvals as ssh-keygen -Y sign does.
func SSHApprover(key ssh.Signer) func(text []byte) ([]byte, error) {
	return func(text []byte) ([]byte, error) {
		sig, err := sshsig.Sign(bytes.NewReader(text), key, sshsig.HashSHA512, ApprovalNamespace)
		if err != nil {
			return nil, err
		}
		return sshsig.Armor(sig), nil
	}
}

// SSHKey reads a private key that is not encrypted; for a public key (FILE.pub) it asks the SSH agent at socket for the
// other half. The caller closes what it is given, after the key was used.
func SSHKey(path, socket string) (ssh.Signer, io.Closer, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the SSH key: %w", err)
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		return agentKey(public, path, socket)
	}
	key, err := ssh.ParsePrivateKey(data)
	if errors.As(err, new(*ssh.PassphraseMissingError)) {
		return nil, nil, fault.WithHint(fmt.Errorf("reading the SSH key %s: it is encrypted", path), "ssh-add it, and name "+path+".pub")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the SSH key %s: %w", path, err)
	}
	return key, io.NopCloser(nil), nil
}

func agentKey(public ssh.PublicKey, path, socket string) (ssh.Signer, io.Closer, error) {
	if socket == "" {
		return nil, nil, fault.WithHint(fmt.Errorf("reading the SSH key: %s is a public key, and there is no SSH agent", path), "name the private key, or start ssh-agent")
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return nil, nil, fmt.Errorf("asking the SSH agent: %w", err)
	}
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("asking the SSH agent: %w", err), conn.Close())
	}
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), public.Marshal()) {
			return s, conn, nil
		}
	}
	return nil, nil, errors.Join(fault.WithHint(fmt.Errorf("the SSH agent does not have the key %s", path), "ssh-add "+path), conn.Close())
}
