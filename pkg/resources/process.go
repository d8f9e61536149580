package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Process is what must not run, or must. All that is given of name, exe, match and user must agree; without any of name,
// exe and match, the name of the resource is the name of the process. Threads of the kernel, the first process and the
// agent itself are left alone.
//
// What should run all the time is better declared as a service, which starts it again when it ends.
//
//	resources:
//	  - process: no miners
//	    ensure: absent
//	    match: '\bxmrig\b'
//	    grace: 3s
type Process struct {
	// Label of the process in the policy, free to choose.
	Label string `vigo:"identity"`

	// Ensure says whether there must be no such process (absent, which ends those there are), or at least one
	// (running).
	Ensure string `yaml:"ensure" vigo:"required,enum=absent|running"`

	// Name as the kernel knows it: at most 15 bytes of the file name.
	Name string `yaml:"name"`

	// Exe is the path of the executable.
	Exe string `yaml:"exe"`

	// Match is a regular expression (RE2) for the command line, its words joined by a space. A process can change its
	// own command line.
	Match string `yaml:"match"`

	// User that the process runs as: a name or a number.
	User string `yaml:"user"`

	// Signal that is sent first; TERM by default.
	Signal string `yaml:"signal" vigo:"enum=TERM|KILL|INT|HUP|QUIT|USR1|USR2"`

	// Grace is how long a process may take to end after that, before it is killed; 10s by default.
	Grace *resource.Duration `yaml:"grace"`

	// Start is the command that starts the process in the background, as a list or a line, when it must run. Without it,
	// a process that does not run is an error.
	Start resource.Argv `yaml:"start"`
}

var (
	_ resource.Validator = (*Process)(nil)
	_ resource.Requirer  = (*Process)(nil)
)

// Validate implements [resource.Validator].
func (p *Process) Validate() error {
	if _, err := patternOf("match", p.Match); err != nil {
		return err
	}
	switch {
	case p.Exe != "" && (!path.IsAbs(p.Exe) || path.Clean(p.Exe) != p.Exe):
		return fmt.Errorf("exe: %q is not an absolute, clean path", p.Exe)
	case p.Ensure == "absent" && len(p.Start) > 0:
		return errors.New("what must not run is not started")
	case p.Ensure == "running" && (p.Signal != "" || p.Grace != nil):
		return errors.New("signal and grace are for what must not run")
	case len(p.name()) > 15:
		return fault.WithHint(fmt.Errorf("the kernel keeps 15 bytes of a name, and %q is longer", p.name()), "use exe or match")
	}
	return nil
}

func (p *Process) name() string {
	if p.Name == "" && p.Exe == "" && p.Match == "" {
		return p.Label
	}
	return p.Name
}

// Requires implements [resource.Requirer].
func (p *Process) Requires() []resource.ID {
	if p.User == "" {
		return nil
	}
	return []resource.ID{{Type: "user", Name: p.User}}
}

// Plan implements [resource.Resource].
func (p *Process) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	found, err := p.find(ctx, h)
	if err != nil {
		return plan, err
	}
	if p.Ensure == "running" {
		return p.planRunning(h, found)
	}
	grace := 10 * time.Second
	if p.Grace != nil {
		grace = p.Grace.Duration
	}
	for _, is := range found {
		end := func(ctx context.Context) error { return h.Processes.End(ctx, is, orWord(p.Signal, "TERM"), grace) }
		plan.Do(end, change.Of(fmt.Sprintf("process %d", is.PID), describeProcess(is), change.Absent))
	}
	return plan, nil
}

func (p *Process) planRunning(h *host.Host, found []host.Process) (resource.Plan, error) {
	var plan resource.Plan
	if len(found) > 0 {
		return plan, nil
	}
	if len(p.Start) == 0 {
		return plan, fault.WithHint(fmt.Errorf("no such process runs"), "give start, or declare the service that runs it")
	}
	plan.Do(func(ctx context.Context) error { return runProgram(ctx, h, p.Start...) }, change.Of("running", false, true))
	return plan, nil
}

// find returns the processes that are meant.
func (p *Process) find(ctx context.Context, h *host.Host) ([]host.Process, error) {
	match, err := patternOf("match", p.Match)
	if err != nil {
		return nil, err
	}
	uid := -1
	if p.User != "" {
		uid, err = accountNumber(p.User, func() (int, error) {
			u, err := h.Accounts.User(ctx, p.User)
			return u.UID, err
		})
		if errors.Is(err, host.ErrNotFound) && p.Ensure == "absent" {
			return nil, nil // nobody, so nothing of theirs
		}
		if err != nil {
			return nil, fmt.Errorf("finding user %s: %w", p.User, err)
		}
	}
	all, err := h.Processes.All(ctx)
	if err != nil {
		return nil, err
	}
	var found []host.Process
	for _, is := range all {
		switch {
		case is.PID == 1:
		case p.name() != "" && is.Name != p.name():
		case p.Exe != "" && is.Exe != p.Exe:
		case match != nil && !match.MatchString(strings.Join(is.Args, " ")):
		case uid >= 0 && is.UID != uid:
		default:
			found = append(found, is)
		}
	}
	return found, nil
}

// describeProcess names the program of a process. Arguments may hold secrets, so they are not shown.
func describeProcess(is host.Process) string {
	return orWord(is.Exe, is.Name)
}
