//go:build linux

package machine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// small opens a machine whose whole root folder is a file system with room for little; that needs root.
func small(t *testing.T) (root string, h *host.Host) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	root = t.TempDir()
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	m, err := New(Options{Root: root, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return root, m.Host()
}

// wantAlone fails unless the folder holds one file with the given content.
func wantAlone(t *testing.T, root, name, content string) {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want %s alone", entries, err, name)
	}
	if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != content {
		t.Errorf("%s holds %.40q, %v; want %q", name, got, err, content)
	}
}

func write(ctx context.Context, h *host.Host, content string, opt host.WriteOptions) error {
	return h.FS.Write(ctx, "/conf", strings.NewReader(content), opt)
}

func TestAFullDiskLeavesTheOldFileAndNoOther(t *testing.T) {
	t.Parallel()
	root, h := small(t)
	if err := write(t.Context(), h, "old", host.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := write(t.Context(), h, strings.Repeat("new", 1<<16), host.WriteOptions{}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	wantAlone(t, root, "conf", "old")
	if err := write(t.Context(), h, "new", host.WriteOptions{}); err != nil {
		t.Error(err)
	}
	wantAlone(t, root, "conf", "new")
}

func TestAReadOnlyDiskLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	root, h := small(t)
	if err := write(t.Context(), h, "old", host.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("mounting read-only: %v", err)
	}
	for name, change := range map[string]func() error{
		"writing":  func() error { return write(t.Context(), h, "new", host.WriteOptions{}) },
		"linking":  func() error { return h.FS.Link(t.Context(), "/conf", "elsewhere") },
		"making":   func() error { return h.FS.MakeDir(t.Context(), "/dir", host.Attr{}) },
		"removing": func() error { return h.FS.Remove(t.Context(), "/conf", false) },
	} {
		if err := change(); !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantAlone(t, root, "conf", "old")
}

// TestAContentThatFailsOrDoesNotValidateLeavesTheOldFile: what is read for the file breaks off, or the check says no.
func TestAContentThatFailsOrDoesNotValidateLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	m, err := New(Options{Root: root, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	h := m.Host()
	mode := fs.FileMode(0o640)
	if err := write(t.Context(), h, "old", host.WriteOptions{Attr: host.Attr{Mode: &mode}}); err != nil {
		t.Fatal(err)
	}
	no := errors.New("syntax error on line 1")
	if err := write(t.Context(), h, "new", host.WriteOptions{Validate: func(context.Context, string) error { return no }}); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	wantAlone(t, root, "conf", "old")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := write(ended, h, "new", host.WriteOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	wantAlone(t, root, "conf", "old")
	if info, err := os.Stat(filepath.Join(root, "conf")); err != nil || info.Mode() != mode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}
