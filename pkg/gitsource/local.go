package gitsource

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/storer"

	"vigo.dev/pkg/fault"
)

// A repository on this machine is read directly: go-git's file transport runs the git program, which need not be there.

func openLocal(path string) (*git.Repository, error) {
	repo, err := git.PlainOpenWithOptions(path, &git.PlainOpenOptions{EnableDotGitCommonDir: true})
	if errors.Is(err, git.ErrRepositoryNotExists) {
		return nil, fault.WithHint(fmt.Errorf("opening %s: %w", path, err), "make it one with `git init`, or name the folder that holds .git")
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return repo, nil
}

func closeLocal(repo *git.Repository) {
	if c, ok := repo.Storer.(interface{ Close() error }); ok {
		_ = c.Close() // it was only read
	}
}

func localTip(path string, ref plumbing.ReferenceName) (plumbing.Hash, error) {
	repo, err := openLocal(path)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer closeLocal(repo)
	r, err := repo.Reference(ref, true)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return plumbing.ZeroHash, noBranch(path, ref.Short(), localBranches(repo))
	}
	if err != nil {
		return plumbing.ZeroHash, fmt.Errorf("reading branch %s of %s: %w", ref.Short(), path, err)
	}
	return r.Hash(), nil
}

func localBranches(repo *git.Repository) []string {
	var names []string
	iter, err := repo.Branches()
	if err != nil {
		return nil // only for a hint
	}
	_ = iter.ForEach(func(r *plumbing.Reference) error {
		names = append(names, r.Name().Short())
		return nil
	})
	return names
}

// takeLocal copies a commit and what it needs, as one pack, out of another repository on this machine.
func (b *bare) takeLocal(ctx context.Context, path string, want plumbing.Hash) (err error) {
	repo, err := openLocal(path)
	if err != nil {
		return err
	}
	defer closeLocal(repo)
	b.objects.mu.Lock()
	defer b.objects.mu.Unlock()
	missing, err := lacking(ctx, b.objects.store, repo.Storer, want)
	if err != nil || len(missing) == 0 {
		return err
	}
	w, err := b.objects.store.PackfileWriter()
	if err != nil {
		return fmt.Errorf("writing a pack: %w", err)
	}
	// Deltas matter for a whole history; for a few commits they are not worth the search.
	window := uint(0)
	if len(missing) > 20_000 {
		window = 4
	}
	if _, err := packfile.NewEncoder(w, repo.Storer, false).Encode(missing, window); err != nil {
		return errors.Join(fmt.Errorf("copying %d objects of %s: %w", len(missing), path, err), w.Close())
	}
	return w.Close()
}

// lacking lists the objects reachable from a commit in src that dst does not have. dst holds, with every object, all
// that object refers to, so what it has need not be looked into.
func lacking(ctx context.Context, dst, src storer.EncodedObjectStorer, want plumbing.Hash) ([]plumbing.Hash, error) {
	l := lacks{dst: dst, src: src, seen: map[plumbing.Hash]bool{}}
	todo := []plumbing.Hash{want}
	for len(todo) > 0 {
		h := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !l.add(h) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c, err := object.GetCommit(src, h)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return nil, fault.WithHint(fmt.Errorf("copying commit %s: %w: %w", h, ErrShallow, err), "run `git fetch --unshallow` in that repository")
		}
		if err != nil {
			return nil, fmt.Errorf("copying commit %s: %w", h, err)
		}
		if err := l.tree(c.TreeHash); err != nil {
			return nil, fmt.Errorf("copying commit %s: %w", h, err)
		}
		todo = append(todo, c.ParentHashes...)
	}
	return l.list, nil
}

type lacks struct {
	dst, src storer.EncodedObjectStorer
	seen     map[plumbing.Hash]bool
	list     []plumbing.Hash
}

func (l *lacks) add(h plumbing.Hash) bool {
	if l.seen[h] {
		return false
	}
	l.seen[h] = true
	if l.dst.HasEncodedObject(h) == nil {
		return false
	}
	l.list = append(l.list, h)
	return true
}

func (l *lacks) tree(h plumbing.Hash) error {
	if !l.add(h) {
		return nil
	}
	tree, err := object.GetTree(l.src, h)
	if err != nil {
		return fmt.Errorf("tree %s: %w", h, err)
	}
	for _, e := range tree.Entries {
		switch e.Mode {
		case filemode.Submodule:
		case filemode.Dir:
			if err := l.tree(e.Hash); err != nil {
				return err
			}
		default:
			l.add(e.Hash)
		}
	}
	return nil
}
