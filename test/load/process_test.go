package load

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/vigocmd"
)

// programVariable makes this test binary be vigo.
const programVariable = "VIGO_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) == "" {
		os.Exit(m.Run())
	}
	env := cli.System("vigo", "test")
	os.Exit(cli.Main(env, vigocmd.New(env), os.Args[1:]))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func program(args ...string) *exec.Cmd {
	path := os.Args[0]
	if dir := os.Getenv("VIGO_BIN"); dir != "" {
		path = filepath.Join(dir, "vigo")
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), programVariable+"=vigo")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// output is what a process has written so far.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// A process is a program in the background, which the test ends at the latest.
type process struct {
	cmd  *exec.Cmd
	out  output // both
	said output // standard output alone
	done chan struct{}
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &tee{&p.out, &p.said}, &p.out
	must(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if t.Failed() {
			lines := strings.Split(p.out.String(), "\n")
			t.Logf("%s:\n%s", strings.Join(cmd.Args[1:4], " "), strings.Join(lines[max(0, len(lines)-30):], "\n"))
		}
	})
	return p
}

type tee struct{ a, b *output }

func (w *tee) Write(p []byte) (int, error) {
	_, errA := w.a.Write(p)
	_, errB := w.b.Write(p)
	return len(p), errors.Join(errA, errB)
}

// end sends a signal and waits until the process has gone.
func (p *process) end(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // gone already is as good
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// says waits until the process has written something.
func (p *process) says(t *testing.T, word string, patience time.Duration) {
	t.Helper()
	await(t, word+" in the output", patience, func() bool {
		select {
		case <-p.done:
			t.Fatalf("it has ended:\n%s", p.out.String())
		default:
		}
		return strings.Contains(p.out.String(), word)
	})
}

// await asks until it is so; processes tell nobody when they have done what the test waits for.
func await(t *testing.T, what string, patience time.Duration, so func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !so() {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s: %s", patience, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// run runs a program to its end, which must be good.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}
