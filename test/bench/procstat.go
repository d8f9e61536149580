package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of times in /proc/PID/stat: USER_HZ, which is 100 on every architecture of Linux that Go knows.
const clockTick = 10 * time.Millisecond

// cpuOf is the CPU time that all threads of a process have used, with a resolution of [clockTick].
func cpuOf(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(data)
}

// parseStat reads utime and stime, fields 14 and 15 of proc_pid_stat(5). The name in field 2 may hold anything, so
// fields are counted from its last parenthesis.
func parseStat(data []byte) (time.Duration, error) {
	_, rest, ok := bytes.Cut(data[max(0, bytes.LastIndexByte(data, ')')):], []byte(")"))
	f := bytes.Fields(rest)
	if !ok || len(f) < 13 {
		return 0, fmt.Errorf("reading the stat of a process: %q", data)
	}
	var ticks int64
	for _, field := range f[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the stat of a process: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}
