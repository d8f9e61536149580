//go:build linux

package machine

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/host"
)

// A server that knows ranges, and one that does not, give the same rest of the content.
func TestFetchFrom(t *testing.T) {
	t.Parallel()
	const content = "0123456789"
	ranges := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x", time.Time{}, strings.NewReader(content))
	}))
	t.Cleanup(ranges.Close)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, content) }))
	t.Cleanup(plain.Close)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 0-9/10")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, content)
	}))
	t.Cleanup(other.Close)
	for name, server := range map[string]*httptest.Server{"ranges": ranges, "plain": plain} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for from, want := range map[int64]string{0: content, 4: "456789", 9: "9"} {
				var got bytes.Buffer
				n, err := newFetcher().Fetch(t.Context(), host.Request{URL: server.URL, From: from, Limit: 10}, &got)
				if err != nil || got.String() != want || n != int64(len(want)) {
					t.Errorf("from %d: got %q, %d, %v", from, &got, n, err)
				}
			}
			if _, err := newFetcher().Fetch(t.Context(), host.Request{URL: server.URL, From: 11}, io.Discard); !errors.Is(err, host.ErrRange) {
				t.Errorf("behind the end: %v", err)
			}
			if _, err := newFetcher().Fetch(t.Context(), host.Request{URL: server.URL, From: 4, Limit: 9}, io.Discard); err == nil {
				t.Error("the limit is not that of the whole content")
			}
		})
	}
	if _, err := newFetcher().Fetch(t.Context(), host.Request{URL: other.URL, From: 4}, io.Discard); err == nil || !strings.Contains(err.Error(), "bytes 0-9/10") {
		t.Errorf("another range than was asked for: %v", err)
	}
}

// What there was of a content that cannot be read to its end is kept, for its owner alone; the file stays as it was.
func TestWriteKeepsThePart(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "f"), []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := New(Options{Root: root, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	broken := errors.New("the line is cut")
	content := io.MultiReader(strings.NewReader("new"), failing{broken})
	err = m.Host().FS.Write(t.Context(), "/f", content, host.WriteOptions{Partial: "/.f.part"})
	if !errors.Is(err, broken) {
		t.Errorf("writing says %v", err)
	}
	for name, want := range map[string]string{"f": "old", ".f.part": "new"} {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	if info, err := os.Stat(filepath.Join(root, ".f.part")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the part is %v, %v", info, err)
	}
	if left, err := os.ReadDir(root); err != nil || len(left) != 2 {
		t.Errorf("left: %v, %v", left, err)
	}
}
