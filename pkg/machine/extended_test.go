//go:build linux

package machine

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/host"
)

// TestExtended keeps an attribute on a file of the file system that tests run on, where it can: a file system without any
// must say so, and a name without a file is not found.
func TestExtended(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", filepath.Join(root, "link")); err != nil {
		t.Fatal(err)
	}
	m, err := New(Options{Root: root, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	e := m.Host().Extended
	if _, err := e.Xattr("/none", "user.vigo"); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("of a file that is not there: %v", err)
	}
	if _, err := e.Flags("/link"); err == nil {
		t.Error("a link was followed")
	}
	err = e.SetXattr(t.Context(), "/f", "user.vigo", []byte("v"))
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if got, err := e.Xattr("/f", "user.vigo"); string(got) != "v" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for range 2 {
		if err := e.SetXattr(t.Context(), "/f", "user.vigo", nil); err != nil {
			t.Error(err)
		}
	}
	if _, err := e.Xattr("/f", "user.vigo"); !errors.Is(err, host.ErrNotFound) {
		t.Errorf("of one that was removed: %v", err)
	}
}
