package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/prune"
)

const (
	askedName = "asked.json"
	askedLife = 90 * 24 * time.Hour // a module that nobody has asked for in this time is not fetched ahead any more
	askedStep = 24 * time.Hour      // how exact that is kept on disk
)

// A shelf knows the layers of the bundles that were mirrored, there or not, and which modules nodes asked for beside the scope.
type shelf struct {
	local bundle.Store
	path  string // of what was asked for

	mu     sync.Mutex
	loaded bool             // bundles of earlier runs are in layers
	layers map[string]place // by digest
	asked  map[string]time.Time
}

// shelved is a bundle that is mirrored.
type shelved struct {
	digest   string
	manifest bundle.Manifest
	config   bundle.Config
}

// A place is what a layer is of.
type place struct {
	bundle.Descriptor
	module, bundle string
}

func openShelf(c MirrorConfig) (*shelf, error) {
	s := &shelf{local: c.Local, path: filepath.Join(c.State, askedName), layers: map[string]place{}, asked: map[string]time.Time{}}
	data, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case json.Unmarshal(data, &s.asked) != nil || s.asked == nil:
		s.asked = map[string]time.Time{} // what it names is asked for again
		c.Log.Warn("it is not known any more which modules nodes have asked for", "file", askedName)
	}
	return s, nil
}

// add takes note of a bundle.
func (s *shelf) add(b shelved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(b)
}

func (s *shelf) put(b shelved) {
	for i, l := range b.config.Layers {
		s.layers[l.Digest] = place{b.manifest.Layers[i], l.Module, b.digest}
	}
}

// forget makes the shelf look anew at what the store holds, after something was removed from it.
func (s *shelf) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded, s.layers = false, map[string]place{}
}

// find says what a layer is of. A layer that no mirrored bundle names is unknown.
func (s *shelf) find(ctx context.Context, digest string) (place, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, known := s.layers[digest]; known || s.loaded {
		return p, known, nil
	}
	if err := s.load(ctx); err != nil {
		return place{}, false, fmt.Errorf("looking through the mirrored bundles: %w", err)
	}
	p, known := s.layers[digest]
	return p, known, nil
}

// load reads the bundles that were mirrored: what has the tag of a mirror was verified before it got that.
func (s *shelf) load(ctx context.Context) error {
	repo, ok := s.local.(prune.Repository)
	if !ok {
		s.loaded = true
		return nil
	}
	err := repo.Tags(ctx, func(tag string) error {
		if !strings.HasPrefix(tag, "b-") {
			return nil
		}
		d, err := s.local.Resolve(ctx, tag)
		if err == nil && tag == prune.MirrorTag(d.Digest) {
			var b shelved
			if b.manifest, b.config, err = bundle.Read(ctx, s.local, d); err == nil {
				b.digest = d.Digest
				s.put(b)
			}
		}
		if errors.Is(err, bundle.ErrNotFound) || errors.As(err, new(*bundle.Refusal)) {
			return nil // removed meanwhile, or damaged: it is mirrored again if it is needed
		}
		return err
	})
	s.loaded = err == nil
	return err
}

// askedFor returns the modules that nodes asked for in the last time.
func (s *shelf) askedFor(now time.Time) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := map[string]bool{}
	for module, last := range s.asked {
		if now.Sub(last) < askedLife {
			asked[module] = true
		}
	}
	return asked
}

// wasAsked notes that a node asked for a module that is beside the scope, or was at some time.
func (s *shelf) wasAsked(module string, now time.Time, absent bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, before := s.asked[module]
	if module == "" || !before && !absent || before && now.Sub(last) < askedStep {
		return nil
	}
	for name, last := range s.asked {
		if now.Sub(last) >= askedLife {
			delete(s.asked, name)
		}
	}
	s.asked[module] = now
	data, err := json.Marshal(s.asked)
	if err == nil {
		err = atomicfile.Write(s.path, data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("noting that module %s was asked for: %w", module, err)
	}
	return nil
}
