package separate

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/test/self"
)

func TestMain(m *testing.M) { self.Main(m) }

// run runs a program to its end; it must succeed.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	stdout, stderr, err := try(cmd)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args[1:], " "), err, stdout, stderr)
	}
	return strings.TrimSpace(stdout)
}

func try(cmd *exec.Cmd) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	f, err := os.Open(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
