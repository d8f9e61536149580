// Package programs builds vigo and vigo-agent once for a test binary, and runs them as people do. It refuses to hide what a
// program says when it fails.
package programs

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience bounds what is waited for.
const Patience = 3 * time.Minute

var built = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("VIGO_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.MkdirTemp("", "vigo-programs-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+"/", "vigo.dev/cmd/vigo", "vigo.dev/cmd/vigo-agent").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// Main is what TestMain calls: it runs the tests and removes what was built. VIGO_BIN names a folder of programs that are
// built already.
func Main(m *testing.M) int {
	code := m.Run()
	if dir, err := built(); os.Getenv("VIGO_BIN") == "" && err == nil {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	return code
}

// Command is a program with more environment; it ends with the test.
func Command(t testing.TB, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	return prepare(exec.CommandContext(t.Context(), Path(t, name), args...), env)
}

// Path is where a program was built.
func Path(t testing.TB, name string) string {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, name)
}

func prepare(cmd *exec.Cmd, env []string) *exec.Cmd {
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 20 * time.Second // on a busy machine what a program printed is read long after its end
	return cmd
}

// Run runs a program to its end, which must be good, and returns its standard output.
func Run(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	cmd := Command(t, env, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// Serve starts a program and waits until it writes a line with a word to its standard output; it returns that line too.
func Serve(t testing.TB, env []string, word, name string, args ...string) (*Process, string) {
	t.Helper()
	p := Start(t, prepare(exec.Command(Path(t, name), args...), env)) // it may be stopped in a cleanup
	p.Says(t, word, Patience)
	for line := range strings.Lines(p.Said.String()) {
		if strings.Contains(line, word) {
			return p, strings.TrimSpace(line)
		}
	}
	t.Fatalf("%s says %q elsewhere than on its standard output:\n%s", name, word, p.Out.String())
	return nil, ""
}

// Stop asks the program to end, and waits until it has, which must be in good order.
func (p *Process) Stop(t testing.TB) {
	t.Helper()
	if p.End(syscall.SIGTERM); !p.Cmd.ProcessState.Success() {
		t.Errorf("%s: %s\n%s", p, p.Cmd.ProcessState, p.Out.String())
	}
}
