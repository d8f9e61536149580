package hosttest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/host"
)

// process is one process.
type process struct{ host.Process }

// processes implements host.Processes.
type processes struct{ m *Machine }

var _ host.Processes = processes{}

// All implements host.Processes.
func (v processes) All(context.Context) ([]host.Process, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if err := v.m.failure("processes", ""); err != nil {
		return nil, err
	}
	var all []host.Process
	for _, p := range v.m.processes {
		all = append(all, p.Process)
	}
	return all, nil
}

// End implements host.Processes. Nobody waits: a process ends at once or not at all.
func (v processes) End(_ context.Context, p host.Process, signal string, grace time.Duration) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	v.m.wrote("end %d %s %s", p.PID, signal, grace)
	if err := v.m.failure("processes", strconv.Itoa(p.PID)); err != nil {
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	v.m.processes = slices.DeleteFunc(v.m.processes, func(is *process) bool { return is.PID == p.PID })
	return nil
}

func (p *parser) process(l *line) error {
	uid, err := l.number("uid", 0)
	if err != nil {
		return err
	}
	if err := l.want(2, 64, "process PID NAME [EXE [ARGUMENT…]] with uid="); err != nil {
		return err
	}
	pid, err := strconv.Atoi(l.args[0])
	if err != nil {
		return fmt.Errorf("%q is not the number of a process", l.args[0])
	}
	is := &process{host.Process{PID: pid, Name: l.args[1], UID: uid, Started: uint64(pid)}}
	if len(l.args) > 2 {
		is.Exe, is.Args = l.args[2], l.args[2:]
	}
	p.m.processes = append(p.m.processes, is)
	return nil
}

func (is *process) print(b *strings.Builder) {
	fmt.Fprintf(b, "process %d %s", is.PID, bare(is.Name))
	for _, arg := range is.Args {
		b.WriteString(" " + bare(arg))
	}
	if is.UID != 0 {
		fmt.Fprintf(b, " uid=%d", is.UID)
	}
	b.WriteByte('\n')
}
