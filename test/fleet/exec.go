//go:build linux

package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// execGroup is where commands that enter a machine run: a control group inside the machine's.
const execGroup = "payload/exec"

// machineEnv is the environment of a root login.
var machineEnv = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LOGNAME=root",
	"SHELL=/bin/bash", "LANG=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive",
}

// Exec runs a command on the machine as root, without a shell, and waits for it. The exit code is that of the command,
// 127 when it does not exist, 128 more than the signal that killed it; err tells that it could not be run or that ctx
// ended first, which kills it.
func (m *Machine) Exec(ctx context.Context, argv ...string) (stdout, stderr string, code int, err error) {
	return m.ExecInput(ctx, nil, argv...)
}

// ExecInput is [Machine.Exec] with something to read.
func (m *Machine) ExecInput(ctx context.Context, stdin io.Reader, argv ...string) (stdout, stderr string, code int, err error) {
	var out, errOut bytes.Buffer
	cmd, release, err := m.enter(ctx, argv)
	if err == nil {
		defer release()
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &errOut
		err = runThrough(cmd)
	}
	var exit *exec.ExitError
	switch {
	case err != nil && ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, exec.ErrWaitDelay):
		err = nil // the command ended; something it left behind has its output open
	case errors.As(err, &exit) && entered(errOut.String()):
		err = nil
	case err != nil && errOut.Len() > 0:
		err = fmt.Errorf("%w: %s", err, tail(errOut.String(), 1))
	}
	if err != nil {
		return out.String(), errOut.String(), -1, fmt.Errorf("running %s on machine %s: %w", argv[0], m.name, err)
	}
	return out.String(), errOut.String(), exitCode(cmd.ProcessState), nil
}

// runThrough runs a command, and keeps nsenter going meanwhile. nsenter stops itself when what it runs is stopped, and the
// systemd of a machine that goes down stops all processes, kills them, and continues those it can see: nsenter, which it
// cannot, would stop for ever, and with it the machine, whose last process nobody reaps.
func runThrough(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				_ = cmd.Process.Signal(syscall.SIGCONT) // has no effect on one that runs, or has ended
			}
		}
	})
	err := cmd.Wait()
	close(ended)
	watch.Wait()
	return err
}

// MustExec is [Machine.Exec] for a command that must succeed: it returns what the command prints, and fails the test
// with all it said when its exit code is not 0.
func (m *Machine) MustExec(t testing.TB, argv ...string) string {
	t.Helper()
	stdout, stderr, code, err := m.Exec(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		t.Fatalf("%s: %s: exit code %d\n%s%s", m.name, strings.Join(argv, " "), code, stdout, stderr)
	}
	return stdout
}

// entered says whether the command was reached, from what the programs that lead to it have to say.
func entered(stderr string) bool {
	return !strings.HasPrefix(stderr, "setpriv: ") && !strings.HasPrefix(stderr, "nsenter: ") ||
		strings.HasPrefix(stderr, "nsenter: failed to execute ")
}

// exitCode renders the end of a process as a shell does.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// enter prepares a command that enters the namespaces of the machine, and what is to be called when it has run.
func (m *Machine) enter(ctx context.Context, argv []string) (*exec.Cmd, func(), error) {
	if len(argv) == 0 {
		return nil, nil, errors.New("no command")
	}
	c := m.current()
	if c == nil {
		return nil, nil, errDown
	}
	leader, err := c.leader()
	if err != nil {
		return nil, nil, err
	}
	drop, err := droppedCapabilities(leader)
	if err != nil {
		return nil, nil, err
	}
	group, err := m.dir.group.open(execGroup)
	if err != nil {
		return nil, nil, errDown // not made yet, or gone
	}
	var args []string
	if drop != "" {
		args = append(args, "setpriv", "--bounding-set="+drop)
	}
	args = append(args, "nsenter", "--target="+strconv.Itoa(leader),
		"--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--")
	args = append(args, argv...)
	path, err := lookTool(args[0])
	if err != nil {
		group.Close()
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Env = machineEnv
	cmd.Dir = "/"
	// nsenter does not hand signals on: its process group is killed as a whole.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	return cmd, func() { group.Close() }, nil
}

// WriteFile writes a file on the machine, with the directories it needs. A file that is there is replaced, not
// rewritten: a program may be running from it.
func (m *Machine) WriteFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := m.put(t.Context(), strings.NewReader(text), path, mode); err != nil {
		t.Fatal(err)
	}
}

// CopyIn is [Machine.WriteFile] with the content of a file of this computer.
func (m *Machine) CopyIn(t testing.TB, hostPath, path string, mode os.FileMode) {
	t.Helper()
	f, err := os.Open(hostPath)
	if err != nil {
		t.Fatalf("copying to machine %s: %v", m.name, err)
	}
	defer f.Close()
	if err := m.put(t.Context(), f, path, mode); err != nil {
		t.Fatal(err)
	}
}

// put writes a file on the machine.
func (m *Machine) put(ctx context.Context, content io.Reader, path string, mode os.FileMode) error {
	temp := path + ".fleet-tmp"
	const script = `mkdir -p "$1" && cat >"$2" && chmod "$4" "$2" && mv -fT "$2" "$3"`
	_, stderr, code, err := m.ExecInput(ctx, content, "/bin/sh", "-c", script, "sh", filepath.Dir(path), temp, path, fmt.Sprintf("%o", mode.Perm()))
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(stderr))
	}
	if err != nil {
		return fmt.Errorf("writing %s on machine %s: %w", path, m.name, err)
	}
	return nil
}

// ReadFile returns a file of the machine; the test fails when it cannot be read.
func (m *Machine) ReadFile(t testing.TB, path string) string {
	t.Helper()
	return m.MustExec(t, "cat", "--", path)
}
