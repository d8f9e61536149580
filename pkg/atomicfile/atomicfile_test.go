package atomicfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/atomicfile"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func wantOnly(t *testing.T, dir, name, content string) {
	t.Helper()
	if got := names(t, dir); len(got) != 1 || got[0] != name {
		t.Errorf("the folder holds %q, want %s alone", got, name)
	}
	if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != content {
		t.Errorf("%s holds %.40q, %v; want %.40q", name, got, err, content)
	}
}

func TestWriteReplacesContentAndMode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	for _, c := range []struct {
		content string
		mode    fs.FileMode
	}{{"old", 0o644}, {"new", 0o600}, {"", 0o600}} {
		if err := atomicfile.Write(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		wantOnly(t, dir, "state", c.content)
		if info, err := os.Stat(path); err != nil || info.Mode() != c.mode {
			t.Errorf("mode %v, %v; want %v", info.Mode(), err, c.mode)
		}
	}
}

func TestAReaderNeverSeesAPart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state")
	contents := [][]byte{bytes.Repeat([]byte("a"), 1<<20), bytes.Repeat([]byte("b"), 1<<20)}
	if err := atomicfile.Write(path, contents[0], 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		var err error
		for i := range 40 {
			err = errors.Join(err, atomicfile.Write(path, contents[i%2], 0o600))
		}
		done <- err
	}()
	for {
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("a reader saw %d bytes, %v", len(got), err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
	}
}

func TestALinkIsReplacedAndItsTargetStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(t.TempDir(), "target")
	path := filepath.Join(dir, "state")
	if err := errors.Join(os.WriteFile(target, []byte("theirs"), 0o600), os.Symlink(target, path), atomicfile.Write(path, []byte("ours"), 0o600)); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, dir, "state", "ours")
	if got, err := os.ReadFile(target); err != nil || string(got) != "theirs" {
		t.Errorf("the target holds %q, %v", got, err)
	}
}

func TestAFolderInThePlaceIsAnErrorAndNothingIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := os.MkdirAll(filepath.Join(path, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, []byte("new"), 0o600); err == nil {
		t.Error("no error")
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left: %q", got)
	}
	if err := atomicfile.Write(filepath.Join(dir, "gone", "state"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a folder that is not there: %v", err)
	}
}

// small mounts a file system with room for little; it needs root.
func small(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a file system needs root")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mounting a file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestAFullDiskLeavesTheOldFileAndNoOther(t *testing.T) {
	t.Parallel()
	dir := small(t)
	path := filepath.Join(dir, "state")
	if err := atomicfile.Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Write(path, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v", err)
	}
	wantOnly(t, dir, "state", "old")
	if err := atomicfile.Write(path, []byte("new"), 0o600); err != nil { // the room is given back
		t.Error(err)
	}
	wantOnly(t, dir, "state", "new")
}

func TestAReadOnlyDiskLeavesTheOldFile(t *testing.T) {
	t.Parallel()
	dir := small(t)
	path := filepath.Join(dir, "state")
	if err := atomicfile.Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("mounting read-only: %v", err)
	}
	if err := atomicfile.Write(path, []byte("new"), 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("got %v", err)
	}
	wantOnly(t, dir, "state", "old")
}

func TestRemove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if err := errors.Join(atomicfile.Write(path, nil, 0o600), atomicfile.Remove(path), atomicfile.Remove(path)); err != nil {
		t.Error(err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

func TestSweepTakesWhatWritesHaveLeftAndNothingElse(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "[odd*name") // which a pattern would not match
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".state.json.tmp-42", ".x.tmp-1", "state.json", ".hidden", "state.tmp-42"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(atomicfile.Sweep(dir), atomicfile.Sweep(filepath.Join(dir, "gone"))); err != nil {
		t.Error(err)
	}
	if got := names(t, dir); len(got) != 3 {
		t.Errorf("left: %q", got)
	}
}
