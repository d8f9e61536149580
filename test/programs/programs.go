// Package programs builds vigo and vigo-agent once for a test binary, and runs them as people do. It refuses to hide what a
// program says when it fails.
package programs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
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
const Patience = time.Minute

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
	return prepare(exec.CommandContext(t.Context(), path(t, name), args...), env)
}

// path is where a program was built.
func path(t testing.TB, name string) string {
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
	cmd.WaitDelay = time.Second
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

// A Server is a program that goes on.
type Server struct {
	cmd  *exec.Cmd
	said bytes.Buffer // on standard error; whole when it has ended
}

// Serve starts a program and waits until it writes a line with a word; it returns that line too.
func Serve(t testing.TB, env []string, word, name string, args ...string) (*Server, string) {
	t.Helper()
	s := &Server{cmd: prepare(exec.Command(path(t, name), args...), env)} // it may be stopped in a cleanup
	s.cmd.Stderr = &s.said
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // gone already is as good
	late := time.AfterFunc(Patience, func() { _ = s.cmd.Process.Kill() })
	defer late.Stop()
	reader := bufio.NewReader(out)
	for {
		line, err := reader.ReadString('\n')
		if strings.Contains(line, word) {
			go func() { _, _ = io.Copy(io.Discard, reader) }() // until it ends
			return s, strings.TrimSpace(line)
		}
		if err != nil {
			t.Fatalf("%s did not come up: %v\n%s", name, errors.Join(err, s.cmd.Wait()), &s.said)
		}
	}
}

// Stop asks the program to end, and waits until it has.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &s.said)
	}
}
