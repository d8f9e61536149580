package gitsource

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"vigo.dev/pkg/fault"
)

// Worktree shows one commit of the repository that dir is in: what is committed, not the files as they lie there. rev is
// anything git understands, such as a branch, a tag or an abbreviated hash; empty means HEAD. When dir is a folder
// inside the repository, the tree is that folder's. The repository must have its full history, because commits are
// counted. The caller closes the result.
func Worktree(ctx context.Context, dir, rev string) (*Snapshot, error) {
	if rev == "" {
		rev = "HEAD"
	}
	repo, err := git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		repo, err = git.PlainOpenWithOptions(dir, &git.PlainOpenOptions{DetectDotGit: true, EnableDotGitCommonDir: true})
	}
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, fault.WithHint(fmt.Errorf("opening %s: %w", dir, err), "a bundle is made of a commit: run `git init`, `git add` and `git commit` there")
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	store, ok := repo.Storer.(*filesystem.Storage)
	if !ok {
		return nil, fmt.Errorf("opening %s: unknown kind of git store %T", dir, repo.Storer)
	}
	w := &Snapshot{objects: objects{store: store}}
	if err := w.load(ctx, repo, dir, rev); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return w, nil
}

// A Snapshot is one commit of a repository on this machine.
type Snapshot struct {
	Commit Commit
	Tree   *Tree

	objects objects
}

// Close releases the open files of the repository.
func (w *Snapshot) Close() error { return w.objects.store.Close() }

func (w *Snapshot) load(ctx context.Context, repo *git.Repository, dir, rev string) error {
	h, err := repo.ResolveRevision(plumbing.Revision(rev))
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return fault.WithHint(fmt.Errorf("%s: no commit is called %q", dir, rev), "name a branch, a tag or a commit; a new repository needs a first commit")
	}
	if err != nil {
		return fmt.Errorf("%s: looking for %q: %w", dir, rev, err)
	}
	commit, err := object.GetCommit(w.objects.store, *h)
	if err != nil {
		return fmt.Errorf("%s: reading commit %s: %w", dir, h, err)
	}
	all, _, err := walk(ctx, w.objects.store, *h, nil, plumbing.ZeroHash)
	if errors.Is(err, ErrShallow) {
		return fault.WithHint(fmt.Errorf("%s: %w", dir, err), "run `git fetch --unshallow`, or clone with the full history (fetch-depth: 0)")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	w.Commit = describe(commit, int64(len(all)))
	if w.Commit.Tree, err = subtree(repo, commit, dir); err != nil {
		return err
	}
	w.Tree, err = newTree(&w.objects, w.Commit, Limits{})
	return err
}

// subtree returns the hash of the tree that belongs to dir: that of the commit, or of a folder in it.
func subtree(repo *git.Repository, commit *object.Commit, dir string) (string, error) {
	wt, err := repo.Worktree()
	if err != nil { // a bare repository has only the whole
		return commit.TreeHash.String(), nil
	}
	rel, err := inside(wt.Filesystem.Root(), dir)
	if err != nil {
		return "", err
	}
	if rel == "." {
		return commit.TreeHash.String(), nil
	}
	tree, err := commit.Tree()
	if err != nil {
		return "", fmt.Errorf("reading commit %s: %w", commit.Hash, err)
	}
	sub, err := tree.Tree(filepath.ToSlash(rel))
	if err != nil {
		return "", fault.WithHint(fmt.Errorf("%s: commit %s has no folder %s", dir, commit.Hash, rel), "commit it first: what is not committed is not built")
	}
	return sub.Hash.String(), nil
}

func inside(root, dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for _, p := range []*string{&root, &abs} {
		if real, err := filepath.EvalSymlinks(*p); err == nil {
			*p = real
		}
	}
	rel, err := filepath.Rel(root, abs)
	if err != nil || strings.HasPrefix(rel, "..") {
		return "", fmt.Errorf("%s is not inside the repository %s", dir, root)
	}
	return rel, nil
}
