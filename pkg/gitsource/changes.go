package gitsource

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// A Change is a commit that changed a file, and what it made of it.
type Change struct {
	Commit Commit
	By     string // who signed it, as the files of the signers name them; empty: it does not count
	Reason string // why it does not count
	Before []byte // empty: the file was not there
	After  []byte
}

// maxChanges bounds how many commits are looked at for a file.
const maxChanges = 10_000

// Changes returns the commits that changed a file, of those that came to a branch between two commits, in no particular order.
// A merge counts when it made something of the file that none of its parents has. When from is not in the history of to, there
// is nothing between them. Files of more than limit bytes are errors.
func (s *Source) Changes(ctx context.Context, from, to, file string, signers Signers, limit int64) ([]Change, error) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	s.copy.objects.mu.Lock()
	defer s.copy.objects.mu.Unlock()
	store, tip := s.copy.objects.store, plumbing.NewHash(to)
	known, err := s.knownFrom(ctx, plumbing.NewHash(from))
	if err != nil {
		return nil, err
	}
	added, descends, err := walk(ctx, store, tip, known, plumbing.NewHash(from))
	if err != nil || !descends && from != to {
		return nil, err
	}
	if len(added) > maxChanges {
		return nil, fmt.Errorf("looking who changed %s: there are more than %d commits: %w", file, maxChanges, ErrLimit)
	}
	var changes []Change
	for hash := range added {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c, changed, err := s.change(hash, file, limit)
		if err != nil {
			return nil, fmt.Errorf("looking who changed %s in commit %s: %w", file, hash, err)
		}
		if !changed {
			continue
		}
		raw, err := rawCommit(s.copy, hash)
		if err != nil {
			return nil, err
		}
		if c.By, err = signers.signed(raw, c.Commit.Time); err != nil {
			c.Reason = err.Error()
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// change is what one commit made of a file; the lock is held.
func (s *Source) change(hash plumbing.Hash, file string, limit int64) (c Change, changed bool, err error) {
	commit, err := object.GetCommit(s.copy.objects.store, hash)
	if err != nil {
		return c, false, err
	}
	after, id, err := blobOf(commit, file, limit)
	if err != nil {
		return c, false, err
	}
	c = Change{Commit: describe(commit, 0), After: after}
	var before []plumbing.Hash
	for i, parent := range commit.ParentHashes {
		p, err := object.GetCommit(s.copy.objects.store, parent)
		if err != nil {
			return c, false, err
		}
		data, was, err := blobOf(p, file, limit)
		if err != nil {
			return c, false, err
		}
		if i == 0 {
			c.Before = data
		}
		before = append(before, was)
	}
	if len(before) == 0 {
		return c, id != plumbing.ZeroHash, nil
	}
	return c, !slices.Contains(before, id), nil
}

// blobOf reads a file of a commit; one that is not there is empty.
func blobOf(commit *object.Commit, file string, limit int64) ([]byte, plumbing.Hash, error) {
	tree, err := commit.Tree()
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	f, err := tree.File(file)
	if errors.Is(err, object.ErrFileNotFound) {
		return nil, plumbing.ZeroHash, nil
	}
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	if f.Size > limit {
		return nil, plumbing.ZeroHash, fmt.Errorf("it has more than %d bytes: %w", limit, ErrLimit)
	}
	text, err := f.Contents()
	return []byte(text), f.Hash, err
}
