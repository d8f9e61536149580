package hub

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/agentcmd"
	"vigo.dev/pkg/cli/vigocmd"
)

// programVariable makes this test binary be one of the programs.
const programVariable = "VIGO_TEST_PROGRAM"

func TestMain(m *testing.M) {
	switch name := os.Getenv(programVariable); name {
	case "":
		os.Exit(m.Run())
	case "vigo":
		env := cli.System(name, "test")
		os.Exit(cli.Main(env, vigocmd.New(env), os.Args[1:]))
	case "vigo-agent":
		env := cli.System(name, "test")
		os.Exit(cli.Main(env, agentcmd.New(env), os.Args[1:]))
	}
}

// patience bounds what is waited for.
const patience = 2 * time.Minute

// A place is where programs run: a network namespace, or, when it is nil, where the test runs.
type place struct{ netns *os.File }

// A process runs in the background; what it writes is kept.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	out  output
}

// output is what a process has written so far, to both outputs.
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

func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), programVariable+"="+name)
	return cmd
}

// start runs a program until the test ends, or end does.
func (at *place) start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		defer close(p.done)
		// The signal at the death of the parent is sent when this thread ends: it is kept for as long as the program runs, and
		// ends with this goroutine.
		runtime.LockOSThread()
		err := at.enter()
		if err == nil {
			err = cmd.Start()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in ProcessState
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.end(syscall.SIGTERM)
		if t.Failed() {
			lines := strings.Split(p.out.String(), "\n")
			t.Logf("%s:\n%s", strings.Join(cmd.Args[1:min(4, len(cmd.Args))], " "), strings.Join(lines[max(0, len(lines)-25):], "\n"))
		}
	})
	return p
}

// end sends a signal and waits until the process has gone.
func (p *process) end(s syscall.Signal) {
	_ = p.cmd.Process.Signal(s) // gone already is as good
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// says waits until the process has written a line with a word in it, and returns what follows the word on that line.
func (p *process) says(t *testing.T, word string) string {
	t.Helper()
	var rest string
	await(t, fmt.Sprintf("%q in the output of %s", word, p.cmd.Args[1]), func() error {
		_, after, found := strings.Cut(p.out.String(), word)
		line, _, whole := strings.Cut(after, "\n")
		rest = strings.TrimSpace(line)
		select {
		case <-p.done:
			t.Fatalf("it has ended:\n%s", p.out.String())
		default:
		}
		if !found || !whole {
			return errors.New("not yet")
		}
		return nil
	})
	return rest
}

// try runs a program to its end.
func (at *place) try(cmd *exec.Cmd) (stdout string, err error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = at.do(cmd.Start); err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return strings.TrimSpace(out.String()), err
}

// run runs a program to its end, which must be good.
func (at *place) run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := at.try(cmd)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args[1:], " "), err, out)
	}
	return out
}

// await asks until it is so; processes tell nobody when they have done what the test waits for.
func await(t *testing.T, what string, so func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := so()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", patience, what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}
