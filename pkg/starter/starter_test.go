package starter_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/pkg/starter"
)

// Nothing is overwritten, and if one file is in the way none is written.
func TestWriteKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("mine", "mine")
	put("same", "same")
	files := map[string][]byte{"a/b": []byte("b"), "mine": []byte("yours"), "same": []byte("same")}
	if _, err := starter.Write(dir, files, false); err == nil || !strings.Contains(err.Error(), "mine: there already") {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err == nil {
		t.Error("a part was written")
	}
	written, err := starter.Write(dir, files, true)
	if err != nil || strings.Join(written, " ") != "a/b mine" {
		t.Errorf("wrote %v, %v", written, err)
	}
}

// A link that leads out of the folder is not followed.
func TestWriteStaysInside(t *testing.T) {
	t.Parallel()
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "roles")); err != nil {
		t.Fatal(err)
	}
	if _, err := starter.Write(dir, map[string][]byte{"roles/x": []byte("x")}, true); err == nil {
		t.Error("it was written through the link")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Error("something is outside")
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{"Web-1.example.com": "web-1", "9 lives": "lives", "...": "", "ä_b": "b"} {
		if got := starter.Name(from); got != want {
			t.Errorf("%s: got %q, want %q", from, got, want)
		}
	}
}

// A README is five lines, and a repository has the checks of the services that were asked for only.
func TestFiles(t *testing.T) {
	t.Parallel()
	files, err := starter.Files(starter.Options{Fleet: "acme", Forges: []string{"gitlab"}})
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(files["README.md"]), "\n"); n != 5 {
		t.Errorf("README.md has %d lines", n)
	}
	if files[".gitlab-ci.yml"] == nil || files[".gitignore"] == nil || files[".github/workflows/policy.yml"] != nil {
		t.Error("the checks of gitlab alone are wanted")
	}
}
