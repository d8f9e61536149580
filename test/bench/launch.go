package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// launchCommand makes this program start another and say what that took.
//
// The largest memory that the kernel tells of a process is at least that of the one which started it, as it was then
// (getrusage(2): it lasts across execve(2)). This program is large, so it does not start itself what it measures.
const launchCommand = "launch-and-measure"

// launched is what one process took, with all processes it waited for.
type launched struct {
	Wall, CPU time.Duration
	RSS       int64 // bytes, of the largest process
	Code      int   // of its exit; -1: a signal ended it
}

// launch starts a program with the streams of this one, and writes a [launched] to file descriptor 3.
func launch(argv []string) int {
	l, err := launching(argv)
	if err == nil {
		err = json.NewEncoder(os.NewFile(3, "what it took")).Encode(l)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func launching(argv []string) (launched, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	err := cmd.Run()
	wall := time.Since(began)
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		return launched{}, fmt.Errorf("running %s: %w", argv[0], err)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return launched{}, errors.New("the system does not say what a process used")
	}
	return launched{wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), usage.Maxrss << 10, cmd.ProcessState.ExitCode()}, nil
}
