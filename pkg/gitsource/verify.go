package gitsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// gitNamespace is what git signs commits as (git-config(1), gpg.ssh): a signature of a file is not one of a commit.
const gitNamespace = "git"

// ErrNotSigned says that a commit carries no signature of somebody who may sign.
var ErrNotSigned = errors.New("not signed by somebody who may")

// An UnsignedError names the commits that may not be published. It is [ErrNotSigned].
type UnsignedError struct {
	Commits []Commit
	Reasons []string // of each
}

// Error implements error.
func (e *UnsignedError) Error() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d commits are %v", len(e.Commits), ErrNotSigned)
	for i, c := range e.Commits {
		if i == 10 {
			fmt.Fprintf(&b, "\n  and %d more", len(e.Commits)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %.12s %q by %s: %s", c.Hash, c.Subject, c.Author, e.Reasons[i])
	}
	return b.String()
}

// Unwrap makes errors.Is find ErrNotSigned.
func (e *UnsignedError) Unwrap() error { return ErrNotSigned }

// Hint implements fault.Hinter.
func (e *UnsignedError) Hint() string {
	return "sign the commits, or have who may sign add the key to " + SignersFile + " in a commit of their own first"
}

// Verify checks that every commit which to adds to the history of from is signed by one of signers; with an empty from,
// that to itself is. It fails with an [UnsignedError] that names all that are not.
//
// Merges are commits like others. A commit that is reached by two ways is checked once.
func (s *Source) Verify(ctx context.Context, from string, to Commit, signers Signers) error {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	s.copy.objects.mu.Lock()
	defer s.copy.objects.mu.Unlock()
	store := s.copy.objects.store
	tip := plumbing.NewHash(to.Hash)
	added := map[plumbing.Hash]struct{}{tip: {}}
	if from != "" {
		known, err := s.knownFrom(ctx, plumbing.NewHash(from))
		if err != nil {
			return err
		}
		if added, _, err = walk(ctx, store, tip, known, plumbing.ZeroHash); err != nil {
			return err
		}
	}
	var refused UnsignedError
	for hash := range added {
		if err := ctx.Err(); err != nil {
			return err
		}
		commit, err := object.GetCommit(store, hash)
		if err != nil {
			return fmt.Errorf("reading commit %s: %w", hash, err)
		}
		raw, err := rawCommit(s.copy, hash)
		if err != nil {
			return err
		}
		if _, err := signers.signed(raw, commit.Committer.When); err != nil {
			refused.Commits, refused.Reasons = append(refused.Commits, describe(commit, 0)), append(refused.Reasons, err.Error())
		}
	}
	if len(refused.Commits) == 0 {
		return nil
	}
	refused.sort()
	return &refused
}

// sort puts the commits in the order they were made.
func (e *UnsignedError) sort() {
	order := make([]int, len(e.Commits))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return e.Commits[a].Time.Compare(e.Commits[b].Time) })
	sorted := UnsignedError{}
	for _, i := range order {
		sorted.Commits, sorted.Reasons = append(sorted.Commits, e.Commits[i]), append(sorted.Reasons, e.Reasons[i])
	}
	*e = sorted
}

// knownFrom returns the history of a commit.
func (s *Source) knownFrom(ctx context.Context, from plumbing.Hash) (map[plumbing.Hash]struct{}, error) {
	if s.history.tip == from && s.history.seen != nil {
		return s.history.seen, nil
	}
	known, _, err := walk(ctx, s.copy.objects.store, from, nil, plumbing.ZeroHash)
	return known, err
}

// rawCommit returns the bytes of a commit as git has them: go-git leaves out headers it does not know when it writes a
// commit again, and a signature covers those too.
func rawCommit(b *bare, hash plumbing.Hash) ([]byte, error) {
	obj, err := b.objects.store.EncodedObject(plumbing.CommitObject, hash)
	if err != nil {
		return nil, fmt.Errorf("reading commit %s: %w", hash, err)
	}
	r, err := obj.Reader()
	if err != nil {
		return nil, fmt.Errorf("reading commit %s: %w", hash, err)
	}
	raw, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("reading commit %s: %w", hash, err)
	}
	return raw, nil
}

// signed checks one commit and returns who signed it.
func (s Signers) signed(raw []byte, when time.Time) (who string, err error) {
	payload, signature, err := cutSignature(raw)
	switch {
	case err != nil:
		return "", err
	case signature == nil:
		return "", errors.New("it carries no signature")
	}
	return s.verify(payload, signature, when, gitNamespace)
}

// verify checks a signature over a text and returns the name of who made it, as the files of the signers have it.
func (s Signers) verify(payload, signature []byte, when time.Time, namespace string) (who string, err error) {
	switch {
	case bytes.HasPrefix(signature, []byte("-----BEGIN SSH SIGNATURE-----")):
		return s.sshSigned(payload, signature, when, namespace)
	case bytes.HasPrefix(signature, []byte("-----BEGIN PGP SIGNATURE-----")):
		return s.pgpSigned(payload, signature, when)
	}
	return "", errors.New("its signature is neither one of SSH nor of OpenPGP")
}

// cutSignature splits a commit into what is signed and the signature: the header gpgsig with its continuation lines, each
// of which begins with a space (git, Documentation/gitformat-signature.txt).
func cutSignature(raw []byte) (payload, signature []byte, err error) {
	rest := raw
	inside := false
	for len(rest) > 0 {
		line := rest
		if at := bytes.IndexByte(rest, '\n'); at >= 0 {
			line = rest[:at+1]
		}
		if len(bytes.TrimRight(line, "\n")) == 0 {
			return append(payload, rest...), signature, nil // the message follows
		}
		rest = rest[len(line):]
		text, isSignature := bytes.CutPrefix(line, []byte("gpgsig "))
		switch {
		case isSignature && signature != nil:
			return nil, nil, errors.New("it carries two signatures")
		case isSignature:
			inside, signature = true, append([]byte{}, text...)
		case inside && line[0] == ' ':
			signature = append(signature, line[1:]...)
		default:
			inside, payload = false, append(payload, line...)
		}
	}
	return payload, signature, nil
}

func (s Signers) sshSigned(payload, armored []byte, when time.Time, namespace string) (string, error) {
	sig, err := sshsig.Unarmor(armored)
	if err != nil {
		return "", fmt.Errorf("its SSH signature cannot be read: %w", err)
	}
	for _, one := range s.ssh {
		if !one.signs(namespace) || !bytes.Equal(one.key.Marshal(), sig.PublicKey.Marshal()) {
			continue
		}
		switch {
		case !one.after.IsZero() && when.Before(one.after):
			return "", fmt.Errorf("the key of %s is good from %s on", one.name, one.after.Format(time.RFC3339))
		case !one.before.IsZero() && !when.Before(one.before):
			return "", fmt.Errorf("the key of %s was good until %s", one.name, one.before.Format(time.RFC3339))
		}
		if err := sshsig.Verify(bytes.NewReader(payload), sig, one.key, sig.HashAlgorithm, namespace); err != nil {
			return "", fmt.Errorf("the signature with the key of %s does not verify: %w", one.name, err)
		}
		return one.name, nil
	}
	return "", fmt.Errorf("it is signed with the key %s, which is not listed", ssh.FingerprintSHA256(sig.PublicKey))
}

func (s Signers) pgpSigned(payload, armored []byte, when time.Time) (string, error) {
	if len(s.pgp) == 0 {
		return "", errors.New("it is signed with OpenPGP, and there is no " + KeyringFile)
	}
	config := &packet.Config{Time: func() time.Time { return when }}
	entity, err := openpgp.CheckArmoredDetachedSignature(s.pgp, bytes.NewReader(payload), bytes.NewReader(armored), config)
	if err != nil {
		return "", fmt.Errorf("its OpenPGP signature is not of a key that is listed, or does not verify: %w", err)
	}
	return entityName(entity), nil
}
