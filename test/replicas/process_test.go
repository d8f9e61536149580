package replicas

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"vigo.dev/test/self"
)

func TestMain(m *testing.M) { self.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// run runs a program to its end, which must be good, and returns what it has written.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args[1:], " "), err, &out, &errs)
	}
	return strings.TrimSpace(out.String())
}
