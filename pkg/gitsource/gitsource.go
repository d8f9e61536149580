// Package gitsource keeps a bare copy of one branch of a policy repository and shows its commits as read-only trees,
// straight from git objects.
//
// It refuses to check files out, to run the git program, to push, to rewrite what it accepted once (a branch that was
// rewritten is an error until an operator allows the new tip), and to follow links and submodules.
package gitsource

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/fault"
)

// The errors of this package. Others mean that the repository could not be reached or read.
var (
	ErrRewritten = errors.New("the branch was rewritten")                      // see [RewrittenError]
	ErrNoBranch  = errors.New("the repository has no such branch")             // or is empty
	ErrNotFile   = errors.New("not a regular file or folder")                  // a link or a submodule
	ErrLimit     = errors.New("exceeds a limit")                               // of [Limits]
	ErrCorrupt   = errors.New("the copy of the repository is damaged")         // a new copy is made at the next fetch
	ErrBusy      = errors.New("an earlier fetch has not ended yet")            // it ignored its deadline
	ErrNoCommit  = errors.New("there is no such commit")                       // here; it may be elsewhere
	ErrShallow   = errors.New("the repository does not have the full history") // commits cannot be counted
)

// A RewrittenError says that the branch no longer contains the commit that was accepted last.
type RewrittenError struct {
	Branch   string
	Old, New string // full commit hashes
	Lost     int    // commits that were published and are not in the new history; 0: not known
}

func (e *RewrittenError) Error() string {
	text := fmt.Sprintf("branch %s: %v: %s, which was published, is not in the history of %s", e.Branch, ErrRewritten, e.Old, e.New)
	if e.Lost > 0 {
		text += fmt.Sprintf("; %d published commits would be lost", e.Lost)
	}
	return text
}

// Unwrap makes it an [ErrRewritten].
func (e *RewrittenError) Unwrap() error { return ErrRewritten }

// Hint says what an operator can do.
func (e *RewrittenError) Hint() string {
	return "push a commit that descends from the published one, or start with --allow-rewrite and the full hash of the new commit"
}

// Options says which branch of which repository to follow. URL and Dir are required.
type Options struct {
	URL    string // https://, http://, ssh://, user@host:path, file:// or a path
	Branch string // default "main"
	Dir    string // where the copy is kept; made when missing; for this source alone
	Auth   Auth
	// AllowRewrite is the full hash of a tip that is accepted although it does not descend from the one accepted last.
	AllowRewrite string
	Timeout      time.Duration // of one fetch; default 2 minutes
	Limits       Limits
}

// A Commit is what the controller builds a bundle from.
type Commit struct {
	Hash    string    // 40 hex digits
	Tree    string    // hash of its root tree
	Time    time.Time // of the committer, UTC
	Author  string    // name and address
	Subject string    // first line of the message, at most 200 bytes
	Count   int64     // number of commits in its history, itself included
}

// A Source follows one branch. Its methods may be called from several goroutines.
type Source struct {
	opt      Options
	endpoint *transport.Endpoint
	auth     transport.AuthMethod
	lock     chan struct{} // holds a token while somebody uses the fields below; an abandoned fetch keeps it
	copy     *bare
	accepted accepted
	tip      Commit
	replaced string // commit that tip does not descend from, although it was accepted
	history  history
}

// Open prepares the copy in o.Dir; it does not talk to the remote repository. A damaged copy is thrown away and made
// anew by the next Fetch.
func Open(o Options) (*Source, error) {
	if o.Branch == "" {
		o.Branch = "main"
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	o.Limits = o.Limits.orDefault()
	s := &Source{opt: o, lock: make(chan struct{}, 1)}
	var err error
	if s.endpoint, err = parseURL(o.URL); err != nil {
		return nil, err
	}
	if s.auth, err = o.Auth.method(s.endpoint); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening git copy: %w", err)
	}
	if err := atomicfile.Sweep(o.Dir); err != nil {
		return nil, fmt.Errorf("opening git copy: %w", err)
	}
	if s.accepted, err = readAccepted(o.Dir); err != nil {
		return nil, err
	}
	if s.accepted.URL != "" && (s.accepted.Branch != o.Branch) {
		return nil, fault.WithHint(fmt.Errorf("opening git copy: %s follows branch %s, not %s", o.Dir, s.accepted.Branch, o.Branch),
			"use another data folder, or remove "+filepath.Join(o.Dir, acceptedName)+" to start over with the other branch")
	}
	if s.copy, err = openBare(filepath.Join(o.Dir, "repo.git"), o.Branch); err != nil {
		return nil, err
	}
	return s, nil
}

// URL returns where the repository is, without credentials; for a repository on this machine, "".
func (s *Source) URL() string { return publicURL(s.endpoint) }

// Branch returns the name of the branch that is followed.
func (s *Source) Branch() string { return s.opt.Branch }

// Accepted returns the hash of the commit accepted last, or "".
func (s *Source) Accepted() string {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	return s.accepted.Commit
}

// Accept remembers, durably, that a commit was published: from now on the branch must contain it. Accepting it again
// does nothing.
func (s *Source) Accept(c Commit) error {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	if s.accepted.Commit == c.Hash {
		return nil
	}
	next := accepted{URL: publicURL(s.endpoint), Branch: s.opt.Branch, Commit: c.Hash}
	if err := next.write(s.opt.Dir); err != nil {
		return err
	}
	s.accepted = next
	s.replaced = ""
	s.history.accept(c.Hash)
	return s.copy.keep(c.Hash)
}

// Replaced returns the commit that was accepted and is lost when the tip that was fetched last is: an operator allowed it. It
// is empty when the tip descends from what was accepted.
func (s *Source) Replaced() string {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	return s.replaced
}

// Lookup returns a commit by its full hash, or ErrNoCommit if it was not fetched. Its Count is not known.
func (s *Source) Lookup(hash string) (Commit, error) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	s.copy.objects.mu.Lock()
	defer s.copy.objects.mu.Unlock()
	commit, err := object.GetCommit(s.copy.objects.store, plumbing.NewHash(hash))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return Commit{}, fmt.Errorf("looking for commit %s: %w", hash, ErrNoCommit)
	}
	if err != nil {
		return Commit{}, fmt.Errorf("looking for commit %s: %w", hash, err)
	}
	return describe(commit, 0), nil
}

// Tree shows the files of a commit that was fetched. The tree stays usable until the source is closed.
func (s *Source) Tree(c Commit) (*Tree, error) {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	return newTree(&s.copy.objects, c, s.opt.Limits)
}

// Close releases the open files of the copy.
func (s *Source) Close() error {
	s.lock <- struct{}{}
	defer func() { <-s.lock }()
	return s.copy.close()
}

// within runs do under the deadline of the source. go-git does not always heed its context: when the deadline passes
// first, the goroutine is left behind with the lock, and later calls say ErrBusy until it ends.
func (s *Source) within(ctx context.Context, do func(ctx context.Context) (Commit, error)) (Commit, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	select {
	case s.lock <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return Commit{}, fmt.Errorf("fetching %s: %w: %w", s.endpointName(), ErrBusy, ctx.Err())
	}
	type result struct {
		commit Commit
		err    error
	}
	done := make(chan result, 1)
	go func() {
		defer cancel()
		defer func() { <-s.lock }()
		c, err := do(ctx)
		done <- result{c, err}
	}()
	select {
	case r := <-done:
		return r.commit, r.err
	case <-ctx.Done():
		select {
		case r := <-done:
			return r.commit, r.err
		default:
			return Commit{}, fmt.Errorf("fetching %s: %w", s.endpointName(), ctx.Err())
		}
	}
}

func (s *Source) endpointName() string {
	if u := publicURL(s.endpoint); u != "" {
		return u
	}
	return s.endpoint.Path
}

var errNothingNew = git.NoErrAlreadyUpToDate
