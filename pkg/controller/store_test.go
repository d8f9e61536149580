package controller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
)

// dirStore is a store in a folder that notes every tag it was ever given, so that a test can see whether a number was
// used twice.
type dirStore struct {
	dir    string
	mu     sync.Mutex
	pushes int   // of content that was not there
	fail   error // returned by every write while set
}

func newDirStore(t testing.TB, dir string) *dirStore {
	t.Helper()
	for _, sub := range []string{"blobs", "tags"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &dirStore{dir: dir}
}

func (s *dirStore) blob(digest string) string {
	return filepath.Join(s.dir, "blobs", strings.ReplaceAll(digest, ":", "-"))
}

func (s *dirStore) Resolve(_ context.Context, tag string) (bundle.Descriptor, error) {
	var d bundle.Descriptor
	data, err := os.ReadFile(filepath.Join(s.dir, "tags", tag))
	if errors.Is(err, fs.ErrNotExist) {
		return d, fmt.Errorf("tag %s: %w", tag, bundle.ErrNotFound)
	}
	if err != nil {
		return d, err
	}
	return d, json.Unmarshal(data, &d)
}

func (s *dirStore) Open(_ context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	data, err := os.ReadFile(s.blob(d.Digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", d.Digest, bundle.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

func (s *dirStore) Referrers(_ context.Context, d bundle.Descriptor, artifactType string) ([]bundle.Descriptor, error) {
	entries, err := os.ReadDir(filepath.Join(s.dir, "blobs"))
	if err != nil {
		return nil, err
	}
	var found []bundle.Descriptor
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(s.dir, "blobs", e.Name()))
		if err != nil {
			return nil, err
		}
		var m bundle.Manifest
		if json.Unmarshal(data, &m) != nil || m.Subject == nil || m.Subject.Digest != d.Digest || artifactType != "" && m.ArtifactType != artifactType {
			continue
		}
		found = append(found, bundle.Descriptor{
			MediaType: bundle.ManifestMediaType, ArtifactType: m.ArtifactType, Digest: strings.Replace(e.Name(), "-", ":", 1), Size: int64(len(data)),
		})
	}
	return found, nil
}

func (s *dirStore) Push(_ context.Context, d bundle.Descriptor, r io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if d.Digest != "sha256:"+hex.EncodeToString(sum[:]) || d.Size != int64(len(data)) {
		return fmt.Errorf("pushing %s: %w", d.Digest, bundle.ErrDigest)
	}
	if _, err := os.Stat(s.blob(d.Digest)); err == nil {
		return nil
	}
	s.pushes++
	return atomicfile.Write(s.blob(d.Digest), data, 0o600)
}

func (s *dirStore) Tag(_ context.Context, d bundle.Descriptor, tag string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if _, err := os.Stat(s.blob(d.Digest)); err != nil {
		return fmt.Errorf("tagging %s: %w", d.Digest, bundle.ErrNotFound)
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(log, "%s %s\n", tag, d.Digest)
	return errors.Join(err, log.Close(), atomicfile.Write(filepath.Join(s.dir, "tags", tag), data, 0o600))
}

// history returns every tag that was set, with the digests it was set to, in order.
func (s *dirStore) history(t testing.TB) map[string][]string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	tags := map[string][]string{}
	for line := range strings.Lines(string(data)) {
		if tag, digest, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			tags[tag] = append(tags[tag], digest)
		}
	}
	return tags
}
