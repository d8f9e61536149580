package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is a program of the demo that runs in the background, with its output in a file.
type process struct {
	name string
	cmd  *exec.Cmd
	done chan struct{}
	log  string
}

// start runs a program in its own process group, so that Ctrl-C reaches it through the demo alone.
func (d *demo) start(name string, argv ...string) (*process, error) {
	logPath := d.path(name + ".log")
	out, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(os.Environ(), "VIGO_CONFIG="+d.path("data", "operator.json"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, done: make(chan struct{}), log: logPath}
	go func() {
		// How it ended is seen in its log; the demo only waits for its end.
		_ = cmd.Wait()
		close(p.done)
	}()
	d.processes = append(d.processes, p)
	return p, nil
}

// stop ends a process: TERM, and KILL after ten seconds.
func (p *process) stop() {
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.signal(syscall.SIGKILL)
		<-p.done
	}
}

func (p *process) signal(s syscall.Signal) {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, s) // gone already is as good
	}
}

// stopAll ends what the demo started, the newest first.
func (d *demo) stopAll() {
	var all sync.WaitGroup
	for _, p := range d.processes {
		all.Go(p.stop)
	}
	all.Wait()
}

// run starts a program, waits for it and returns its standard output.
func (d *demo) run(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "VIGO_CONFIG="+d.path("data", "operator.json"),
		"GIT_AUTHOR_NAME=demo", "GIT_AUTHOR_EMAIL=demo@example.com", "GIT_COMMITTER_NAME=demo", "GIT_COMMITTER_EMAIL=demo@example.com",
		"GIT_CONFIG_GLOBAL=/dev/null")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// tail prints the end of a process's output, for a failure.
func (p *process) tail(w io.Writer) {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	fmt.Fprintf(w, "--- the last lines of %s\n%s\n", p.name, strings.Join(lines[max(0, len(lines)-25):], "\n"))
}
