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

// TestDevices opens what may stand for a block device, through a link and without leaving the root folder, and nothing else.
func TestDevices(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "image"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"link": "/image", "out": "/etc/passwd"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	m, err := New(Options{Root: root, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	devices := m.Host().Devices
	d, err := devices.Device("/link")
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4)
	if _, err := d.Content.ReadAt(b, 6); err != nil || string(b) != "6789" || d.Size != 10 {
		t.Errorf("got %q of %d bytes, %v", b, d.Size, err)
	}
	if err := d.Content.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"/none", "/out"} {
		if _, err := devices.Device(name); !errors.Is(err, host.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := devices.Device("/"); !errors.Is(err, errNoDevice) {
		t.Errorf("a directory: %v", err)
	}
	live, err := New(Options{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	if _, err := live.Host().Devices.Device("/dev/null"); !errors.Is(err, errNoDevice) {
		t.Errorf("a device that is none of blocks: %v", err)
	}
}
