//go:build linux

package fleet

import (
	"os/exec"
	"runtime"
)

// process is what a machine runs in. It is to have Pdeathsig set.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	code int           // its exit code, then
}

// startProcess starts a command.
func startProcess(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	return p, <-started
}

// run starts the process and stays until it has ended: the signal at the death of the parent is sent when the thread
// that started the process ends, so that thread is kept.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = p.cmd.Wait() // the exit code says it all
	p.code = p.cmd.ProcessState.ExitCode()
	close(p.done)
}
