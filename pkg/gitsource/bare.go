package gitsource

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	objectCache = 32 << 20 // bytes of decoded objects kept in memory
	tooManyPack = 64       // packs, one for each fetch, before they are put together
)

// objects is a git object store with a lock: go-git's is not safe for concurrent use.
type objects struct {
	mu    sync.Mutex
	store *filesystem.Storage
}

// bare is the copy of the repository on disk.
type bare struct {
	dir     string
	ref     plumbing.ReferenceName
	objects objects
}

// openBare opens the copy, or makes an empty one when there is none or when it is damaged.
func openBare(dir, branch string) (*bare, error) {
	b := &bare{dir: dir, ref: plumbing.NewBranchReferenceName(branch)}
	if _, err := os.Stat(dir); err == nil {
		if err := sweepPacks(dir); err != nil {
			return nil, err
		}
		b.open()
		if b.check() == nil {
			return b, nil
		}
	}
	return b, b.reset()
}

func (b *bare) open() {
	b.objects.store = filesystem.NewStorageWithOptions(osfs.New(b.dir), cache.NewObjectLRU(objectCache), filesystem.Options{KeepDescriptors: true})
}

// reset throws the copy away and makes an empty one.
func (b *bare) reset() error {
	b.objects.mu.Lock()
	defer b.objects.mu.Unlock()
	if b.objects.store != nil {
		_ = b.objects.store.Close() // its files are removed next
	}
	if err := os.RemoveAll(b.dir); err != nil {
		return fmt.Errorf("removing a damaged copy: %w", err)
	}
	b.open()
	if _, err := git.InitWithOptions(b.objects.store, nil, git.InitOptions{DefaultBranch: b.ref}); err != nil {
		return fmt.Errorf("making a bare repository: %w", err)
	}
	return nil
}

func (b *bare) close() error { return b.objects.store.Close() }

// tip returns the commit the branch of the copy points to; zero when it does not exist yet.
func (b *bare) tip() (plumbing.Hash, error) {
	b.objects.mu.Lock()
	defer b.objects.mu.Unlock()
	ref, err := b.objects.store.Reference(b.ref)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return plumbing.ZeroHash, nil
	}
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return ref.Hash(), nil
}

func (b *bare) setTip(h plumbing.Hash) error {
	b.objects.mu.Lock()
	defer b.objects.mu.Unlock()
	return b.objects.store.SetReference(plumbing.NewHashReference(b.ref, h))
}

// keep protects a commit from being dropped when packs are put together.
func (b *bare) keep(hash string) error {
	b.objects.mu.Lock()
	defer b.objects.mu.Unlock()
	return b.objects.store.SetReference(plumbing.NewHashReference("refs/vigo/accepted", plumbing.NewHash(hash)))
}

// check says whether the copy can be used: every pack has the checksum it ends with, and every object of the tip's tree
// is there. It does not decode blobs.
func (b *bare) check() error {
	b.objects.mu.Lock()
	defer b.objects.mu.Unlock()
	if err := checkPacks(b.dir); err != nil {
		return err
	}
	if _, err := b.objects.store.Reference(plumbing.HEAD); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	tip, err := b.objects.store.Reference(b.ref)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	commit, err := object.GetCommit(b.objects.store, tip.Hash())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return b.checkTree(commit.TreeHash, map[plumbing.Hash]bool{})
}

// checkTree looks at a tree and what is in it; the lock is held.
func (b *bare) checkTree(h plumbing.Hash, seen map[plumbing.Hash]bool) error {
	if seen[h] {
		return nil
	}
	seen[h] = true
	tree, err := object.GetTree(b.objects.store, h)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	for _, e := range tree.Entries {
		switch e.Mode {
		case filemode.Submodule:
		case filemode.Dir:
			if err := b.checkTree(e.Hash, seen); err != nil {
				return err
			}
		default:
			if err := b.objects.store.HasEncodedObject(e.Hash); err != nil {
				return fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
		}
	}
	return nil
}

// compact puts the packs together when there are many.
func (b *bare) compact() error {
	b.objects.mu.Lock()
	defer b.objects.mu.Unlock()
	packs, err := b.objects.store.ObjectPacks()
	if err != nil || len(packs) < tooManyPack {
		return err
	}
	repo, err := git.Open(b.objects.store, nil)
	if err != nil {
		return err
	}
	if err := repo.RepackObjects(&git.RepackConfig{}); err != nil {
		return fmt.Errorf("putting packs together: %w", err)
	}
	_ = b.objects.store.Close() // of packs that are gone
	b.open()
	return nil
}

func packDir(dir string) string { return filepath.Join(dir, "objects", "pack") }

// sweepPacks removes what a fetch that was killed has left.
func sweepPacks(dir string) error {
	entries, err := os.ReadDir(packDir(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, e := range entries {
		names[e.Name()] = true
	}
	for name := range names {
		base, isIdx := strings.CutSuffix(name, ".idx")
		if strings.HasPrefix(name, "tmp_") || isIdx && !names[base+".pack"] {
			err = errors.Join(err, os.Remove(filepath.Join(packDir(dir), name)))
		}
	}
	return err
}

func checkPacks(dir string) error {
	packs, err := filepath.Glob(filepath.Join(packDir(dir), "*.pack"))
	if err != nil {
		return err
	}
	for _, p := range packs {
		for _, name := range []string{p, strings.TrimSuffix(p, ".pack") + ".idx"} {
			if err := checkTrailer(name); err != nil {
				return fmt.Errorf("%w: %s: %w", ErrCorrupt, filepath.Base(name), err)
			}
		}
	}
	return nil
}

// checkTrailer checks the SHA-1 that packs and their indexes end with (gitformat-pack).
func checkTrailer(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < sha1.Size {
		return io.ErrUnexpectedEOF
	}
	h := sha1.New()
	if _, err := io.CopyN(h, f, info.Size()-sha1.Size); err != nil {
		return err
	}
	want, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	if !bytes.Equal(want, h.Sum(nil)) {
		return errors.New("the checksum does not match")
	}
	return nil
}
