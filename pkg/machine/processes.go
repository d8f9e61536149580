//go:build linux

package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// processes is host.Processes, from /proc.
type processes struct{ fs *files }

var _ host.Processes = (*processes)(nil)

// All implements [host.Processes].
func (p *processes) All(ctx context.Context) ([]host.Process, error) {
	if !p.fs.tree.live() {
		return nil, refuse("listing processes")
	}
	entries, err := p.fs.List("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var all []host.Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name)
		if err != nil || pid == os.Getpid() {
			continue
		}
		one, err := p.one(pid)
		switch {
		case errors.Is(err, host.ErrNotFound), errors.Is(err, unix.ESRCH):
			continue // it has ended
		case err != nil:
			return nil, fmt.Errorf("listing processes: %w", err)
		case one.Name != "":
			all = append(all, one)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// one reads a process; without a name for a thread of the kernel and what has ended and waits for its parent.
func (p *processes) one(pid int) (host.Process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := p.fs.Read(dir+"/stat", 1<<16)
	if err != nil {
		return host.Process{}, err
	}
	is, kernel, err := parseStat(stat)
	if err != nil || kernel {
		return host.Process{}, err
	}
	is.PID = pid
	info, err := p.fs.Stat(dir)
	if err != nil {
		return host.Process{}, err
	}
	is.UID = info.UID
	line, err := p.fs.Read(dir+"/cmdline", 4<<20)
	if err != nil {
		return host.Process{}, err
	}
	if line = bytes.TrimRight(line, "\x00"); len(line) > 0 {
		is.Args = strings.Split(string(line), "\x00")
	}
	if exe, err := p.fs.Stat(dir + "/exe"); err == nil {
		is.Exe = strings.TrimSuffix(exe.Target, " (deleted)")
	}
	return is, nil
}

// parseStat reads /proc/<pid>/stat, as proc(5) describes it. The name may hold anything, so it ends at the last bracket.
func parseStat(stat []byte) (is host.Process, passOver bool, err error) {
	const (
		state     = 0
		flags     = 6
		started   = 19
		ofKernel  = 0x00200000 // PF_KTHREAD
		malformed = "reading the state of a process: %.80q is not what proc(5) says"
	)
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return is, false, fmt.Errorf(malformed, stat)
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) <= started {
		return is, false, fmt.Errorf(malformed, stat)
	}
	bits, errFlags := strconv.ParseUint(fields[flags], 10, 64)
	ticks, errTicks := strconv.ParseUint(fields[started], 10, 64)
	if errors.Join(errFlags, errTicks) != nil {
		return is, false, fmt.Errorf(malformed, stat)
	}
	is.Name, is.Started = string(stat[open+1:end]), ticks
	return is, bits&ofKernel != 0 || fields[state] == "Z" || fields[state] == "X", nil
}

// End implements [host.Processes].
func (p *processes) End(ctx context.Context, is host.Process, signal string, grace time.Duration) error {
	number := unix.SignalNum("SIG" + strings.TrimPrefix(signal, "SIG"))
	if number == 0 {
		return fmt.Errorf("ending process %d: %q is not a signal", is.PID, signal)
	}
	if err := p.end(ctx, is, number, grace); err != nil {
		return fmt.Errorf("ending process %d (%s): %w", is.PID, is.Name, err)
	}
	return nil
}

func (p *processes) end(ctx context.Context, is host.Process, signal unix.Signal, grace time.Duration) error {
	fd, err := unix.PidfdOpen(is.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	// The descriptor stays with this process, so what it is now is what will be ended.
	now, err := p.one(is.PID)
	if errors.Is(err, host.ErrNotFound) || errors.Is(err, unix.ESRCH) || err == nil && now.Started != is.Started {
		return nil
	}
	if err != nil {
		return err
	}
	const last = 5 * time.Second // the kernel needs for KILL at most, unless the process hangs in it
	for _, s := range []struct {
		signal unix.Signal
		wait   time.Duration
	}{{signal, grace}, {unix.SIGKILL, last}} {
		if err := unix.PidfdSendSignal(fd, s.signal, nil, 0); err != nil {
			if errors.Is(err, unix.ESRCH) {
				return nil
			}
			return err
		}
		if gone, err := waitPidfd(ctx, fd, s.wait); gone || err != nil {
			return err
		}
	}
	return fmt.Errorf("it is still there %s after KILL: %w", last, host.ErrBusy)
}

// waitPidfd waits until the process of a descriptor has ended. It looks at ctx every 100 ms.
func waitPidfd(ctx context.Context, fd int, limit time.Duration) (gone bool, err error) {
	const slice = 100 * time.Millisecond
	for left := limit; ; left -= slice {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := retry(func() (int, error) { return unix.Poll(fds, int(max(0, min(left, slice)).Milliseconds())) })
		if err != nil || n > 0 {
			return n > 0, err
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		if left <= 0 {
			return false, nil
		}
	}
}
