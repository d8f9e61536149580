package kill

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"vigo.dev/test/programs"
)

// patience bounds what is waited for.
const patience = 3 * time.Minute

func TestMain(m *testing.M) { os.Exit(programs.Main(m)) }

// A process is a program that runs.
type process struct {
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr *bytes.Buffer
	done   chan struct{}
	err    error // how it ended; after done
}

// start starts a program in a process group of its own, which the test ends at the latest.
func start(t *testing.T, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(programs.Path(t, name), args...), stderr: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	return p
}

// wait waits for the end of a program and returns what it has written.
func (p *process) wait(t *testing.T) (string, error) {
	t.Helper()
	late := time.AfterFunc(patience, p.kill)
	defer late.Stop()
	out, err := io.ReadAll(p.stdout)
	p.reap()
	return string(out), errors.Join(err, p.err)
}

// kill kills the group with SIGKILL and waits for its end; it may be called again.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // gone already is as good
	p.reap()
}

func (p *process) reap() {
	select {
	case <-p.done:
	default:
		p.err = p.cmd.Wait()
		close(p.done)
	}
}

// killed lets a program run for a while and kills it, unless it ends before; it says whether it did.
func (p *process) killed(after time.Duration) bool {
	timer := time.AfterFunc(after, func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	_, _ = io.Copy(io.Discard, p.stdout) // until its end
	timer.Stop()
	p.reap()
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// run runs a program to its end, which must be good.
func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	p := start(t, env, name, args...)
	out, err := p.wait(t)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, p.stderr)
	}
	return out
}

// await asks again and again until something holds.
func await(t *testing.T, what string, holds func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := holds()
		if ok {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, err)
		case <-tick.C:
		}
	}
}
