//go:build linux

package machine

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// clock stands far enough after the last change of any file that digests are kept.
type clock struct{ ahead time.Duration }

func (c *clock) now() time.Time { return time.Now().Add(c.ahead) }

func TestDigestsAreKeptAndTamperingWithRestoredTimesIsSeen(t *testing.T) {
	t.Parallel()
	c := &clock{ahead: time.Minute}
	m, err := New(Options{Now: c.now, Rehash: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	path := filepath.Join(t.TempDir(), "shadow")
	put(t, path, "honest content")
	before := digest(t, m, path)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.digests.known) != 1 {
		t.Fatalf("%d digests are kept, want that of the one file", len(m.digests.known))
	}
	put(t, path, "forged content")
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || after.Size() != info.Size() || !after.ModTime().Equal(info.ModTime()) {
		t.Fatalf("the forged file should have the size and time of the honest one: %v, %v", after, err)
	}
	if digest(t, m, path) == before {
		t.Error("a file of the same size and modification time, but other content, has the digest of the honest one")
	}
}

func TestDigestsAreReadAgainAfterAWhile(t *testing.T) {
	t.Parallel()
	c := &clock{ahead: time.Minute}
	m, err := New(Options{Now: c.now, Rehash: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	path := filepath.Join(t.TempDir(), "file")
	put(t, path, "content")
	honest := digest(t, m, path)
	for key, entry := range m.digests.known { // as if the disk had changed below the file system
		entry.sum[0] ^= 0xff
		m.digests.known[key] = entry
	}
	if digest(t, m, path) == honest {
		t.Error("the content is read although its digest is known")
	}
	c.ahead += 11 * time.Minute
	if got := digest(t, m, path); got != honest {
		t.Errorf("after the time to read again the digest is %s, want %s", got, honest)
	}
}

func TestDigestsOfFilesThatJustChangedAreNotKept(t *testing.T) {
	t.Parallel()
	m, err := New(Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	path := filepath.Join(t.TempDir(), "file")
	put(t, path, "content")
	digest(t, m, path)
	if len(m.digests.known) != 0 {
		t.Error("the digest of a file that may change within the same tick of the clock is kept")
	}
}

func TestDigestOfLargeFilesAndOfThoseWithoutASize(t *testing.T) {
	t.Parallel()
	m, err := New(Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	large := filepath.Join(t.TempDir(), "large")
	put(t, large, strings.Repeat("0123456789", 20_000))
	for _, path := range []string{large, "/proc/version"} { // which says that it has no bytes
		if got := digest(t, m, path); got != sum(t, path) {
			t.Errorf("%s: %s, want %s", path, got, sum(t, path))
		}
	}
	if got, err := m.Host().FS.Digest("/dev/null"); err == nil {
		t.Errorf("/dev/null is no regular file and has the digest %s", got)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func digest(t *testing.T, m *Machine, path string) string {
	t.Helper()
	d, err := m.Host().FS.Digest(path)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// sum is the digest of a file by another way.
func sum(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", sha256.Sum256(data))
}
