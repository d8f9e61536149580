//go:build linux

package fleet_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"testing"
)

// programs is a module of its own with the programs that cases want built.
const programs = "testdata/programs"

// build builds programs for machines and returns their files by name.
func build(t *testing.T, packages []string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range packages {
		file := filepath.Join(t.TempDir(), path.Base(name))
		cmd := exec.CommandContext(t.Context(), "go", "build", "-C", programs, "-ldflags=-s -w", "-o", file, name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", name, err, out)
		}
		files[path.Base(name)] = file
	}
	return files
}
