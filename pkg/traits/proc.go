package traits

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/sockets"
)

// A procStat is what proc_pid_stat(5) says of a process, as far as it is of use here.
type procStat struct {
	name    string // at most 15 bytes
	state   string // one letter
	kernel  bool   // a thread of the kernel
	threads int
	pages   int64 // resident
}

const kernelThread = 0x00200000 // PF_KTHREAD

// parseStat reads one line. The name stands in parentheses and may contain some itself.
func parseStat(line string) (procStat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return procStat{}, fmt.Errorf("%q is no status of a process", line)
	}
	rest := strings.Fields(line[end+1:]) // from field 3 on
	if len(rest) < 22 {
		return procStat{}, fmt.Errorf("%q is no status of a process", line)
	}
	flags, err1 := strconv.ParseUint(rest[6], 10, 32)
	threads, err2 := strconv.Atoi(rest[17])
	pages, err3 := strconv.ParseInt(rest[21], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return procStat{}, fmt.Errorf("reading the status of a process: %w", err)
	}
	return procStat{
		name: strings.ToValidUTF8(line[open+1:end], "�"), state: rest[0], kernel: flags&kernelThread != 0, threads: threads, pages: pages,
	}, nil
}

// eachProcess calls visit with the number of each process, in rising order, until it returns false.
func eachProcess(ctx context.Context, h *host.Host, visit func(pid int) bool) error {
	pids, err := sockets.Processes(h)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !visit(pid) {
			return nil
		}
	}
	return nil
}

// procFile is the path of a file of a process.
func procFile(pid int, name string) string { return "/proc/" + strconv.Itoa(pid) + "/" + name }

// executable returns the program a process runs, and whether its file was replaced or removed since; empty when it is
// gone, or another user's.
func executable(h *host.Host, pid int) (path string, replaced bool) {
	info, err := h.FS.Stat(procFile(pid, "exe"))
	if err != nil {
		return "", false
	}
	return strings.CutSuffix(strings.ToValidUTF8(info.Target, "�"), " (deleted)")
}
