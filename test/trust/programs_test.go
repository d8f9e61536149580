package trust

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

// patience bounds what is waited for.
const patience = time.Minute

var built = sync.OnceValues(func() (string, error) {
	if dir := os.Getenv("VIGO_BIN"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.MkdirTemp("", "vigo-trust-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+"/", "vigo.dev/cmd/vigo", "vigo.dev/cmd/vigo-agent").CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := built(); os.Getenv("VIGO_BIN") == "" && err == nil {
		if err := os.RemoveAll(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func command(t *testing.T, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	dir, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(dir, name), args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = time.Second
	return cmd
}

// run runs a program to its end, which must be good.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := command(t, env, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// A server is a program that goes on.
type server struct {
	cmd  *exec.Cmd
	said bytes.Buffer // on standard error; whole when it has ended
}

// serve starts a program and waits until it writes a line with a word; it returns that line too.
func serve(t *testing.T, env []string, word, name string, args ...string) (*server, string) {
	t.Helper()
	s := &server{cmd: command(t, env, name, args...)}
	s.cmd.Stderr = &s.said
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
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

// stop asks the program to end, and waits until it has.
func (s *server) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &s.said)
	}
}
