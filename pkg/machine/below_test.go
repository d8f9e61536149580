//go:build linux

package machine

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/host"
)

// TestBelowFollowsNoLink swaps a directory for a link to another one, as somebody may who owns what it is in.
func TestBelowFollowsNoLink(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"etc", "tmp/d"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, dir, "shadow"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m, err := New(Options{Root: root, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	b, mode := m.Host().Below, fs.FileMode(0o640)
	seen, err := m.Host().FS.Stat("/tmp/d/shadow")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.SetAttrBelow(t.Context(), "/tmp", "d/shadow", seen, host.Attr{Mode: &mode}); err != nil {
		t.Fatal(err)
	}
	if err := b.RemoveBelow(t.Context(), "/tmp", "d/shadow", false); err != nil {
		t.Fatal(err)
	}
	if err := b.RemoveBelow(t.Context(), "/tmp", "d", false); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../etc", filepath.Join(root, "tmp/d")); err != nil {
		t.Fatal(err)
	}
	if err := b.SetAttrBelow(t.Context(), "/tmp", "d/shadow", seen, host.Attr{Mode: &mode}); err == nil {
		t.Error("the mode was set through a link")
	}
	if err := b.RemoveBelow(t.Context(), "/tmp", "d/shadow", false); err == nil {
		t.Error("a file was removed through a link")
	}
	info, err := os.Stat(filepath.Join(root, "etc/shadow"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file outside has become %v, %v", info, err)
	}
}
