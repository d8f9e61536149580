package ocistore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
)

// ErrOffline says that the origin could not be reached and that the cache does not have what was asked for.
var ErrOffline = errors.New("offline")

// pauseAfterFailure is how long the origin is left alone after it could not be reached, so that a run which needs ten
// things waits for one timeout and not for ten.
const pauseAfterFailure = 10 * time.Second

// A Cache is a source that keeps what it fetched in a folder, as an OCI image layout. Content comes from the folder
// first, where it is verified at every opening, and is fetched again when it is damaged. Tags and referrers come from
// the origin, and from the folder when the origin cannot be reached.
//
// It may be used from several goroutines; one process uses a folder at a time.
type Cache struct {
	origin bundle.Source
	kept   *Layout
	now    func() time.Time

	mu     sync.Mutex
	failed error // why the origin could not be reached last
	until  time.Time
	tried  *tried
}

// Cached puts a cache in front of origin. now tells the time for leaving an origin alone that could not be reached.
func Cached(origin bundle.Source, dir string, now func() time.Time) (*Cache, error) {
	kept := NewLayout(dir)
	if err := errors.Join(atomicfile.Sweep(dir), atomicfile.Sweep(kept.blobs()), kept.mend(context.Background())); err != nil {
		return nil, fmt.Errorf("opening the cache: %w", err)
	}
	return &Cache{origin: origin, kept: kept, now: now}, nil
}

// Local returns what is in the folder as a source that never waits for the origin.
func (c *Cache) Local() bundle.Source { return c.kept }

// Offline returns why the origin could not be reached when it was asked last, or nil.
func (c *Cache) Offline() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// Try finds out, without being waited for, whether the origin can be reached: by asking it for a tag. The channel is closed
// when that is known. What it said of the tag is the answer of the next Resolve, which does not ask again.
func (c *Cache) Try(ctx context.Context, tag string) <-chan struct{} {
	known := make(chan struct{})
	go func() {
		defer close(known)
		var d bundle.Descriptor
		err := c.ask(ctx, func() (err error) { // what it says is in Offline
			d, err = c.origin.Resolve(ctx, tag)
			return err
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.tried = nil; err == nil {
			c.tried = &tried{tag, d}
		}
	}()
	return known
}

// tried is what the origin said of a tag to who did not wait.
type tried struct {
	tag    string
	target bundle.Descriptor
}

// told returns what a Try has found out of a tag, once.
func (c *Cache) told(tag string) (bundle.Descriptor, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tried == nil || c.tried.tag != tag {
		return bundle.Descriptor{}, false
	}
	d := c.tried.target
	c.tried = nil
	return d, true
}

// ask does something with the origin, unless that failed just now. A refusal and "not there" are answers.
func (c *Cache) ask(ctx context.Context, do func() error) error {
	c.mu.Lock()
	failed, until := c.failed, c.until
	c.mu.Unlock()
	if failed != nil && c.now().Before(until) {
		return fmt.Errorf("%w: %w", ErrOffline, failed)
	}
	err := do()
	if ctx.Err() != nil {
		return err // says nothing about the origin
	}
	answered := err == nil || errors.Is(err, bundle.ErrNotFound) || errors.As(err, new(*bundle.Refusal))
	some := errors.As(err, new(*partly)) // one of several registries did, so that there is no reason to leave them alone
	c.mu.Lock()
	defer c.mu.Unlock()
	if answered || some {
		c.failed = nil
	}
	switch {
	case answered:
		return err
	case some:
		return fmt.Errorf("%w: %w", ErrOffline, err)
	}
	c.failed, c.until = err, c.now().Add(pauseAfterFailure)
	return fmt.Errorf("%w: %w", ErrOffline, err)
}

// Resolve implements bundle.Source. When the origin cannot be reached, it answers with the last known target of the
// tag, and fails with [ErrOffline] if there is none.
func (c *Cache) Resolve(ctx context.Context, tag string) (bundle.Descriptor, error) {
	if d, known := c.told(tag); known {
		c.remember(ctx, d, tag)
		return d, nil
	}
	var d bundle.Descriptor
	err := c.ask(ctx, func() (err error) {
		d, err = c.origin.Resolve(ctx, tag)
		return err
	})
	if errors.Is(err, ErrOffline) {
		if last, lastErr := c.kept.Resolve(ctx, tag); lastErr == nil {
			return last, nil
		}
	}
	if err != nil {
		return bundle.Descriptor{}, err
	}
	c.remember(ctx, d, tag)
	return d, nil
}

// remember keeps a tag with the manifest it points to. A failure shows when the manifest is opened; until then the tag
// stays what it was.
func (c *Cache) remember(ctx context.Context, d bundle.Descriptor, tag string) {
	if last, err := c.kept.Resolve(ctx, tag); err == nil && last.Digest == d.Digest {
		return
	}
	if d.MediaType != bundle.ManifestMediaType || d.Size > bundle.MaxManifest {
		return
	}
	if rc, err := c.Open(ctx, d); err == nil && rc.Close() == nil {
		_ = c.kept.Tag(ctx, d, tag) // a full disk costs the tag, not the run
	}
}

// Open implements bundle.Source. The content was verified before Open returns.
func (c *Cache) Open(ctx context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	data, kept, err := c.fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	if !kept {
		// What cannot be kept is handed on all the same: a full disk must not stop enforcement.
		_ = c.kept.Push(ctx, d, bytes.NewReader(data))
	}
	return noClose{bytes.NewReader(data)}, nil
}

// fetch returns content from the folder, or from the origin when the folder does not have it whole.
func (c *Cache) fetch(ctx context.Context, d bundle.Descriptor) (data []byte, kept bool, err error) {
	if data, err := bundle.Fetch(ctx, c.kept, d, bundle.MaxLayer); err == nil {
		return data, true, nil
	}
	err = c.ask(ctx, func() (err error) {
		data, err = bundle.Fetch(ctx, c.origin, d, bundle.MaxLayer)
		return err
	})
	return data, false, err
}

// Referrers implements bundle.Source. Those in the folder come first: a mirror that lists no signatures, or others, must
// not make us forget those we have.
func (c *Cache) Referrers(ctx context.Context, d bundle.Descriptor, artifactType string) ([]bundle.Descriptor, error) {
	var found []bundle.Descriptor
	err := c.ask(ctx, func() (err error) {
		found, err = c.origin.Referrers(ctx, d, artifactType)
		return err
	})
	all, keptErr := c.kept.Referrers(ctx, d, artifactType)
	if keptErr != nil || len(all) == 0 {
		return found, err
	}
	for _, f := range found {
		if len(all) < maxReferrers && !slices.ContainsFunc(all, func(k bundle.Descriptor) bool { return k.Digest == f.Digest }) {
			all = append(all, f)
		}
	}
	return all, nil
}

// Prune removes what neither a manifest in keep, given by digest, nor a tag needs. Signatures of what is kept stay.
func (c *Cache) Prune(ctx context.Context, keep ...string) error {
	return c.kept.prune(ctx, keep)
}

// prune drops index entries and blobs that nothing kept leads to.
func (l *Layout) prune(ctx context.Context, keep []string) error {
	needed := map[string]bool{}
	err := l.change(func(idx *layoutIndex) bool {
		before := len(idx.Manifests)
		kept, waiting := []bundle.Descriptor(nil), idx.Manifests
		// Referrers of referrers are found by going on until nothing is added.
		for added := true; added; {
			added = false
			var still []bundle.Descriptor
			for _, e := range waiting {
				m, err := l.manifest(ctx, e)
				switch {
				case err != nil: // damaged: fetched again when it is asked for
				case e.Annotations[refName] != "" || slices.Contains(keep, e.Digest) || m.Subject != nil && needed[m.Subject.Digest]:
					kept, added = append(kept, e), true
					needed[e.Digest], needed[m.Config.Digest] = true, true
					for _, layer := range m.Layers {
						needed[layer.Digest] = true
					}
				default:
					still = append(still, e)
				}
			}
			waiting = still
		}
		idx.Manifests = kept
		return len(kept) != before
	})
	if err != nil {
		return fmt.Errorf("pruning the cache: %w", err)
	}
	entries, err := os.ReadDir(l.blobs())
	if err != nil {
		return fmt.Errorf("pruning the cache: %w", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !needed["sha256:"+e.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(l.blobs(), e.Name())))
		}
	}
	return err
}
