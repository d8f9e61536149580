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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// execGroup is where commands that enter a machine run: a control group inside the machine's.
const execGroup = "payload/exec"

// machineEnv is the environment of a root login.
var machineEnv = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "USER=root", "LOGNAME=root",
	"SHELL=/bin/bash", "LANG=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive",
}

// run is how [Console.ExecInput] reaches the machine.
func (m *Machine) run(ctx context.Context, stdin io.Reader, argv []string) (stdout, stderr string, code int, err error) {
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
		return out.String(), errOut.String(), -1, err
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
