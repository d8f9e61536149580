//go:build linux

package machine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
)

// open makes a machine of a fresh root folder with some files.
func open(t *testing.T, files map[string]string) (*Machine, string) {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			if err := os.Symlink(target, full); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(full, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := New(Options{Root: root, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m, root
}

// Links never lead out of the root folder, with openat2 and without.
func TestRootConfines(t *testing.T) {
	t.Parallel()
	for _, slow := range []bool{false, true} {
		m, root := open(t, map[string]string{
			"etc/passwd": "inside", "abs": "-> /etc", "up": "-> ../../../../../../etc", "d/rel": "-> ../etc/passwd",
			"loop": "-> loop", "out": "-> /../../../../etc/passwd",
		})
		m.tree.slow = slow
		f := m.Host().FS
		for _, name := range []string{"/etc/passwd", "/abs/passwd", "/up/passwd", "/d/rel", "/out"} {
			if got, err := f.Read(name, 0); err != nil || string(got) != "inside" {
				t.Errorf("slow=%v: %s: %q, %v", slow, name, got, err)
			}
		}
		if _, err := f.Read("/loop", 0); err == nil || errors.Is(err, host.ErrNotFound) {
			t.Errorf("slow=%v: loop: %v", slow, err)
		}
		for _, name := range []string{"/nothing", "/etc/passwd/x", "/up/nothing"} {
			if _, err := f.Read(name, 0); !errors.Is(err, host.ErrNotFound) {
				t.Errorf("slow=%v: %s: %v", slow, name, err)
			}
		}
		if err := f.Write(t.Context(), "/up/new", strings.NewReader("x"), host.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(root, "etc/new")); err != nil {
			t.Error(err)
		}
		for _, name := range []string{"relative", "/a/../b", "/a/"} {
			if err := f.Write(t.Context(), name, strings.NewReader(""), host.WriteOptions{}); err == nil {
				t.Errorf("%q was accepted", name)
			}
		}
	}
}

func TestWriteIsAllOrNothing(t *testing.T) {
	t.Parallel()
	m, root := open(t, map[string]string{"d/file": "old", "d/.vigo-LEFTOVER.tmp": "half", "d/link": "-> file"})
	f, ctx := m.Host().FS, t.Context()
	if err := os.Chmod(filepath.Join(root, "d/file"), 0o640); err != nil {
		t.Fatal(err)
	}
	bad := errors.New("no")
	refuse := func(_ context.Context, candidate string) error {
		if got, err := f.Read(candidate, 0); err != nil || string(got) != "new" {
			t.Errorf("candidate: %q, %v", got, err)
		}
		return bad
	}
	if err := f.Write(ctx, "/d/file", strings.NewReader("new"), host.WriteOptions{Validate: refuse}); !errors.Is(err, bad) {
		t.Error(err)
	}
	broken := io.MultiReader(strings.NewReader("ne"), failing{bad})
	if err := f.Write(ctx, "/d/file", broken, host.WriteOptions{}); !errors.Is(err, bad) {
		t.Error(err)
	}
	if got, _ := f.Read("/d/file", 0); string(got) != "old" {
		t.Errorf("after failures: %q", got)
	}
	opt := host.WriteOptions{Backup: "/d/file.bak"}
	if err := f.Write(ctx, "/d/file", strings.NewReader("new"), opt); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(ctx, "/d/link", strings.NewReader("was a link"), host.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.Write(ctx, "/d", strings.NewReader(""), host.WriteOptions{}); err == nil {
		t.Error("a directory was replaced")
	}
	list, err := f.List("/d")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, i := range list {
		data, _ := f.Read("/d/"+i.Name, 0)
		got[i.Name] = string(data) + " " + i.Mode.String()
	}
	want := map[string]string{"file": "new -rw-r-----", "file.bak": "old -rw-r-----", "link": "was a link -rw-r--r--"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestDirsLinksAttributes(t *testing.T) {
	t.Parallel()
	m, root := open(t, map[string]string{"outside/keep": "x", "tree/a/b": "x", "tree/link": "-> /outside"})
	f, ctx := m.Host().FS, t.Context()
	mode := fs.FileMode(0o750) | fs.ModeSetgid
	if err := f.MakeDir(ctx, "/x/y/z", host.Attr{Mode: &mode}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{"/x": 0o755, "/x/y/z": mode} {
		if i, err := f.Stat(name); err != nil || i.Mode != want || i.Kind != host.Dir {
			t.Errorf("%s: %v %v", name, i.Mode, err)
		}
	}
	for _, target := range []string{"one", "/two"} {
		if err := f.Link(ctx, "/x/l", target); err != nil {
			t.Fatal(err)
		}
		if i, err := f.Stat("/x/l"); err != nil || i.Target != target {
			t.Errorf("link: %v %v", i, err)
		}
	}
	if err := f.Remove(ctx, "/tree", false); err == nil {
		t.Error("a tree was removed without being asked for")
	}
	for range 2 {
		if err := f.Remove(ctx, "/tree", true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "outside/keep")); err != nil {
		t.Error("removal followed a link:", err)
	}
	if err := f.Remove(ctx, "/", true); err == nil {
		t.Error("/ was removed")
	}
}

func TestDigestSeesEveryChange(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(time.Hour)
	root := t.TempDir()
	m, err := New(Options{Root: root, Now: func() time.Time { return now }, Rehash: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	f := m.Host().FS
	var last string
	for _, content := range []string{"a", "b"} {
		if err := f.Write(t.Context(), "/f", strings.NewReader(content), host.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			got, err := m.Host().FS.Digest("/f")
			if err != nil || got == last && content == "b" && len(m.digests.known) < 2 {
				t.Fatal(got, err)
			}
			last = got
		}
	}
	if len(m.digests.known) != 2 {
		t.Errorf("%d digests kept, want 2", len(m.digests.known))
	}
	now = now.Add(2 * time.Minute)
	if _, ok := m.digests.lookup(statOf(t, filepath.Join(root, "f"))); ok {
		t.Error("a digest is trusted for ever")
	}
}

func TestRunner(t *testing.T) {
	t.Parallel()
	m, err := New(Options{Now: time.Now, Grace: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	run, ctx := m.Host().Run, t.Context()
	res, err := run.Run(ctx, host.Command{Argv: []string{"sh", "-c", "umask; echo $PATH $X; exit 3"}, Umask: "0027", Env: []string{"X=1"}})
	if want := "0027\n" + searchPath + " 1\n"; err != nil || res.Code != 3 || string(res.Stdout) != want {
		t.Errorf("got %d %q %v", res.Code, res.Stdout, err)
	}
	if res, err := run.Run(ctx, host.Command{Argv: []string{"sh", "-c", "echo 123456789"}, Limit: 4}); string(res.Stdout) != "789\n" {
		t.Errorf("got %q %v", res.Stdout, err)
	}
	if res, err := run.Run(ctx, host.Command{Argv: []string{"sh", "-c", "kill -9 $$"}}); err != nil || res.Code != 137 {
		t.Errorf("got %d %v", res.Code, err)
	}
	if _, err := run.Run(ctx, host.Command{Argv: []string{"no-such-program-here"}}); !errors.Is(err, host.ErrNotFound) {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := run.Run(short, host.Command{Argv: []string{"sh", "-c", "trap '' TERM; sleep 600 & wait; sleep 600"}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// For another root folder only a check of a candidate may run, under its real name.
func TestRunnerInRoot(t *testing.T) {
	t.Parallel()
	m, _ := open(t, map[string]string{"f": "old"})
	h, ctx := m.Host(), t.Context()
	if _, err := h.Run.Run(ctx, host.Command{Argv: []string{"true"}}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	check := func(ctx context.Context, candidate string) error {
		res, err := h.Run.Run(ctx, host.Command{Argv: []string{"cat", candidate}})
		if err != nil || string(res.Stdout) != "new" {
			t.Errorf("got %q %v", res.Stdout, err)
		}
		return err
	}
	if err := h.FS.Write(ctx, "/f", strings.NewReader("new"), host.WriteOptions{Validate: check}); err != nil {
		t.Error(err)
	}
}
