package gitsource

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// A Step is one move of a branch: a commit that was pushed to it, or the merge that brought a side branch in.
type Step struct {
	Commit Commit
	// Merged are the tips of the side branches it brought in, by their full hashes.
	Merged []string
	// Authors are who wrote what it brought in: the addresses of authors and committers, and the names of the keys that
	// signed, in lower case, sorted, each once.
	Authors []string
}

// Steps returns how the branch came from one commit to another, the oldest step first: the first parents of to back to the
// history of from. With an empty from it is the step to to alone, since nothing is known of what was before.
func (s *Source) Steps(ctx context.Context, from string, to Commit, signers Signers) ([]Step, error) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	s.copy.objects.mu.Lock()
	defer s.copy.objects.mu.Unlock()
	if from == "" {
		step, err := s.step(signers, plumbing.NewHash(to.Hash), map[plumbing.Hash]struct{}{plumbing.NewHash(to.Hash): {}})
		return []Step{step}, err
	}
	before, err := s.knownFrom(ctx, plumbing.NewHash(from))
	if err != nil {
		return nil, err
	}
	var chain []plumbing.Hash
	for at := plumbing.NewHash(to.Hash); ; {
		if _, ok := before[at]; ok {
			break
		}
		chain = append(chain, at)
		commit, err := object.GetCommit(s.copy.objects.store, at)
		if err != nil {
			return nil, fmt.Errorf("reading commit %s: %w", at, err)
		}
		if commit.NumParents() == 0 {
			break
		}
		at = commit.ParentHashes[0]
	}
	slices.Reverse(chain)
	known := make(map[plumbing.Hash]struct{}, len(before))
	for hash := range before { // not changed: it is the history of the source
		known[hash] = struct{}{}
	}
	steps := make([]Step, 0, len(chain))
	for _, at := range chain {
		added, _, err := walk(ctx, s.copy.objects.store, at, known, plumbing.ZeroHash)
		if err != nil {
			return nil, err
		}
		step, err := s.step(signers, at, added)
		if err != nil {
			return nil, err
		}
		steps = append(steps, step)
		for hash := range added {
			known[hash] = struct{}{}
		}
	}
	return steps, nil
}

// step describes the move to one commit, which brought in some; the lock is held.
func (s *Source) step(signers Signers, at plumbing.Hash, added map[plumbing.Hash]struct{}) (Step, error) {
	tip, err := object.GetCommit(s.copy.objects.store, at)
	if err != nil {
		return Step{}, fmt.Errorf("reading commit %s: %w", at, err)
	}
	step := Step{Commit: describe(tip, 0)}
	for _, parent := range tip.ParentHashes[min(1, len(tip.ParentHashes)):] {
		step.Merged = append(step.Merged, parent.String())
	}
	for hash := range added {
		commit, err := object.GetCommit(s.copy.objects.store, hash)
		if err != nil {
			return Step{}, fmt.Errorf("reading commit %s: %w", hash, err)
		}
		step.Authors = append(step.Authors, strings.ToLower(commit.Author.Email), strings.ToLower(commit.Committer.Email))
		raw, err := rawCommit(s.copy, hash)
		if err != nil {
			return Step{}, err
		}
		// Whether it has to be signed is judged elsewhere: here it is only about who it was.
		if who, err := signers.signed(raw, commit.Committer.When); err == nil {
			step.Authors = append(step.Authors, Principals(who)...)
		}
	}
	slices.Sort(step.Authors)
	step.Authors = slices.Compact(step.Authors)
	return step, nil
}

// Principals splits the first field of a line of [SignersFile] into the names it gives to somebody, in lower case.
func Principals(field string) []string {
	return strings.Split(strings.ToLower(field), ",")
}
