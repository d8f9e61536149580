package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// quiet shows that a run with nothing to do starts no process and writes nothing to disk, by a trace of system calls.
func (b *bench) quiet(ctx context.Context) error {
	const section = "What a no-op run does to the machine (247 resources, strace)"
	if _, err := exec.LookPath("strace"); err != nil {
		b.found.add(figure{Section: section, What: "processes and writes", Who: "vigo", Note: "strace is not installed (apt-get install strace)"})
		return nil
	}
	w, err := newWorkload("quiet", b.path("quiet"), folders, 200)
	if err != nil {
		return err
	}
	if err := w.addInstalled("/var/lib/dpkg/status", 20); err != nil {
		return err
	}
	if err := w.addUsers("/etc/passwd", 10); err != nil {
		return err
	}
	bundle, _, err := b.prepare(ctx, w)
	if err != nil {
		return err
	}
	trace := b.path("trace")
	bundle.argv = append([]string{"strace", "-f", "-qq", "-o", trace, "-e", "trace=" + strings.Join(tracedCalls, ",")}, bundle.argv...)
	if _, _, err := bundle.once(ctx); err != nil {
		return err
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		return err
	}
	does := parseTrace(string(data))
	if does.calls == 0 {
		return fmt.Errorf("strace shows no system call at all")
	}
	b.found.add(
		atMost(figure{Section: section, What: "child processes", Who: "vigo", Value: float64(len(does.processes)), Unit: "processes", Note: first(does.processes)}, 0),
		atMost(figure{Section: section, What: "writes to disk", Who: "vigo", Value: float64(len(does.writes)), Unit: "calls", Note: first(does.writes)}, 0))
	return nil
}

// tracedCalls are the system calls that start a process, or can change a file system.
var tracedCalls = []string{"execve", "execveat", "fork", "vfork", "clone", "clone3", "open", "openat", "openat2", "creat", "rename", "renameat", "renameat2",
	"unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat", "truncate", "ftruncate", "fallocate",
	"chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat", "utimensat", "setxattr", "fsetxattr", "lsetxattr", "fsync", "fdatasync", "write", "close"}

// done is what a trace shows.
type done struct {
	calls     int
	processes []string // started, beside the traced program itself
	writes    []string
}

var (
	traceLine = regexp.MustCompile(`^([a-z0-9_]+)\((.*)$`)
	writeFlag = regexp.MustCompile(`O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)`)
)

// parseTrace reads the output of strace -f. A clone with CLONE_THREAD makes a thread, not a process. A file that is opened
// for writing counts when it is truncated or written through; the lock file of the state directory is neither.
func parseTrace(trace string) done {
	var d done
	writable := map[string]string{} // descriptor to how it was opened
	for _, line := range wholeCalls(trace) {
		m := traceLine.FindStringSubmatch(line)
		if m == nil {
			continue // a signal or an exit
		}
		d.calls++
		call, rest := m[1], m[2]
		failed := strings.Contains(rest, ") = -1 ")
		switch call {
		case "execve", "execveat":
			if d.calls > 1 {
				d.processes = append(d.processes, call+"("+rest)
			}
		case "fork", "vfork", "clone", "clone3":
			if !strings.Contains(rest, "CLONE_THREAD") {
				d.processes = append(d.processes, call+"("+rest)
			}
		case "open", "openat", "openat2", "creat":
			at := strings.LastIndex(rest, ") = ")
			if failed || at < 0 || call != "creat" && !writeFlag.MatchString(rest) {
				continue
			}
			writable[strings.TrimSpace(rest[at+4:])] = rest[:at]
			if call == "creat" || strings.Contains(rest, "O_TRUNC") {
				d.writes = append(d.writes, call+"("+rest)
			}
		case "close":
			fd, _, _ := strings.Cut(rest, ")")
			delete(writable, fd)
		case "write":
			fd, _, _ := strings.Cut(rest, ",")
			if how, ok := writable[fd]; ok {
				d.writes = append(d.writes, "write to "+how)
			}
		default:
			if !failed {
				d.writes = append(d.writes, call+"("+rest)
			}
		}
	}
	return d
}

// wholeCalls returns the lines of a trace without the numbers of threads, and with calls that another thread interrupted
// put together.
func wholeCalls(trace string) []string {
	var calls []string
	begun := map[string]string{} // by thread
	for line := range strings.Lines(trace) {
		line = strings.TrimSpace(line)
		thread, call, ok := strings.Cut(line, " ")
		if _, err := strconv.Atoi(thread); !ok || err != nil {
			thread, call = "", line
		}
		call = strings.TrimSpace(call)
		if head, cut := strings.CutSuffix(call, "<unfinished ...>"); cut {
			begun[thread] = head
			continue
		}
		if _, tail, cut := strings.Cut(call, " resumed>"); cut && strings.HasPrefix(call, "<... ") {
			call = begun[thread] + tail
		}
		calls = append(calls, call)
	}
	return calls
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}
