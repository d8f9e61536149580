package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A process is a program of the bench in the background, with its output in a file.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	log  string
}

// start runs a program that dies with this one.
func (b *bench) start(name string, argv ...string) (*process, error) {
	out, err := os.Create(b.path(name + ".log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{}), log: out.Name()}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended shows in its log
		close(p.done)
	}()
	return p, nil
}

// stop ends a process: TERM, and KILL after ten seconds.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(10 * time.Second):
		return errors.Join(p.cmd.Process.Kill(), errors.New("it had to be killed"))
	}
}

// explain adds the end of what the process said to an error.
func (p *process) explain(err error) error {
	if err == nil {
		return nil
	}
	in, openErr := os.Open(p.log)
	if openErr != nil {
		return err
	}
	defer in.Close()
	data, readErr := io.ReadAll(in)
	return fmt.Errorf("%w\n%s", errors.Join(err, readErr), lastLines(string(data), 15))
}
