package gitsource

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"vigo.dev/pkg/fault"
)

// Fetch returns the tip of the branch. It asks for the tip first and transfers only what is new; when the tip is the one
// known, nothing is transferred. A tip that does not descend from the accepted commit is a [RewrittenError].
func (s *Source) Fetch(ctx context.Context) (Commit, error) {
	return s.within(ctx, s.fetch)
}

func (s *Source) fetch(ctx context.Context) (Commit, error) {
	want, err := s.remoteTip(ctx)
	if err != nil {
		return Commit{}, err
	}
	if want.String() == s.tip.Hash {
		return s.tip, nil
	}
	commit, err := s.take(ctx, want)
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrRewritten) && s.copy.check() != nil {
		// The copy is damaged, so the error says nothing about the remote: start over.
		if err := s.copy.reset(); err != nil {
			return Commit{}, err
		}
		s.history = history{}
		commit, err = s.take(ctx, want)
	}
	if err != nil {
		return Commit{}, err
	}
	s.tip = commit
	return commit, s.copy.compact()
}

// take makes sure that a commit with all its history is in the copy, and that it may follow the accepted one.
func (s *Source) take(ctx context.Context, want plumbing.Hash) (Commit, error) {
	have, err := s.copy.tip()
	if err != nil {
		return Commit{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if have != want {
		if err := s.transfer(ctx, want); err != nil {
			return Commit{}, err
		}
		if err := s.copy.setTip(want); err != nil {
			return Commit{}, err
		}
	}
	return s.admit(ctx, want)
}

// admit counts the history of a commit and checks that it contains the accepted one.
func (s *Source) admit(ctx context.Context, tip plumbing.Hash) (Commit, error) {
	s.copy.objects.mu.Lock()
	defer s.copy.objects.mu.Unlock()
	commit, err := object.GetCommit(s.copy.objects.store, tip)
	if err != nil {
		return Commit{}, fmt.Errorf("reading commit %s: %w", tip, err)
	}
	if s.accepted.Commit != "" && s.history.tip.String() != s.accepted.Commit {
		old := plumbing.NewHash(s.accepted.Commit)
		if s.copy.objects.store.HasEncodedObject(old) == nil {
			if err := s.history.load(ctx, s.copy.objects.store, old); err != nil {
				return Commit{}, err
			}
		}
	}
	count, descends, err := s.history.extend(ctx, s.copy.objects.store, tip)
	if err != nil {
		return Commit{}, err
	}
	if s.accepted.Commit != "" && !descends && s.opt.AllowRewrite != tip.String() {
		return Commit{}, &RewrittenError{Branch: s.opt.Branch, Old: s.accepted.Commit, New: tip.String(), Lost: s.history.lost()}
	}
	s.replaced = ""
	if s.accepted.Commit != "" && !descends {
		s.replaced = s.accepted.Commit
	}
	return describe(commit, count), nil
}

func describe(c *object.Commit, count int64) Commit {
	subject, _, _ := strings.Cut(c.Message, "\n")
	if len(subject) > 200 {
		subject = strings.ToValidUTF8(subject[:200], "")
	}
	return Commit{
		Hash: c.Hash.String(), Tree: c.TreeHash.String(), Time: c.Committer.When.UTC().Truncate(time.Second),
		Author: fmt.Sprintf("%s <%s>", c.Author.Name, c.Author.Email), Subject: subject, Count: count,
	}
}

// remoteTip asks where the branch is now.
func (s *Source) remoteTip(ctx context.Context) (plumbing.Hash, error) {
	if s.endpoint.Protocol == "file" {
		return localTip(s.endpoint.Path, s.copy.ref)
	}
	refs, err := s.remote().ListContext(ctx, &git.ListOptions{
		Auth: s.auth, CABundle: s.opt.Auth.CABundle, ClientCert: s.opt.Auth.ClientCert, ClientKey: s.opt.Auth.ClientKey,
	})
	if err != nil {
		return plumbing.ZeroHash, s.remoteError(err)
	}
	var branches []string
	for _, ref := range refs {
		if ref.Name() == s.copy.ref && ref.Type() == plumbing.HashReference {
			return ref.Hash(), nil
		}
		if ref.Name().IsBranch() {
			branches = append(branches, ref.Name().Short())
		}
	}
	return plumbing.ZeroHash, noBranch(s.endpointName(), s.opt.Branch, branches)
}

// transfer brings a commit and what it needs into the copy.
func (s *Source) transfer(ctx context.Context, want plumbing.Hash) error {
	if s.endpoint.Protocol == "file" {
		return s.copy.takeLocal(ctx, s.endpoint.Path, want)
	}
	s.copy.objects.mu.Lock()
	defer s.copy.objects.mu.Unlock()
	err := s.remote().FetchContext(ctx, &git.FetchOptions{
		Auth: s.auth, CABundle: s.opt.Auth.CABundle, ClientCert: s.opt.Auth.ClientCert, ClientKey: s.opt.Auth.ClientKey,
		RefSpecs: []config.RefSpec{config.RefSpec("+" + s.copy.ref.String() + ":refs/vigo/fetched")},
		Tags:     git.NoTags, Force: true,
	})
	if err != nil && !errors.Is(err, errNothingNew) {
		return s.remoteError(err)
	}
	if err := s.copy.objects.store.HasEncodedObject(want); err != nil {
		return fmt.Errorf("fetching %s: the branch moved meanwhile: %w", s.endpointName(), err)
	}
	return nil
}

func (s *Source) remote() *git.Remote {
	return git.NewRemote(s.copy.objects.store, &config.RemoteConfig{Name: "origin", URLs: []string{s.opt.URL}})
}

func (s *Source) remoteError(err error) error {
	err = fmt.Errorf("fetching %s: %w", s.endpointName(), err)
	switch {
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		return fault.WithHint(err, "give a user and an access token, or an ssh key, that may read the repository")
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("%w: %w", ErrNoBranch, err)
	}
	return err
}

func noBranch(where, branch string, others []string) error {
	err := fmt.Errorf("fetching %s: branch %q: %w", where, branch, ErrNoBranch)
	switch hint := fault.DidYouMean(branch, others); {
	case len(others) == 0:
		return fault.WithHint(err, "the repository is empty: push a first commit")
	case hint != "":
		return fault.WithHint(err, hint)
	}
	return fault.WithHint(err, "it has: "+strings.Join(others[:min(len(others), 8)], ", "))
}
