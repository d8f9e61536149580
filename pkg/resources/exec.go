package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"weak"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Exec runs a program. What it changes is not known, so it must be said when it is due: creates, removes, unless and
// only_if are guards, all of which must agree; refresh_only runs it only when a resource that notifies it has changed; always
// runs it in every run. One of them is needed.
//
// There is no shell unless the command names one: [sh, -c, "…"]. Guards are run in dry runs too, so they must change
// nothing.
//
//	resources:
//	  - exec: build-font-cache
//	    command: [fc-cache, --force]
//	    creates: /var/cache/fontconfig
//	    timeout: 2m
type Exec struct {
	// Name of the command in the policy, free to choose.
	Name string `vigo:"identity"`

	// Command is the program and its arguments, as a list.
	Command []string `yaml:"command" vigo:"required,argv"`

	// Creates is a path: the command is due while nothing is there.
	Creates string `yaml:"creates"`

	// Removes is a path: the command is due while something is there.
	Removes string `yaml:"removes"`

	// Unless is a guard, as a list: the command is due if this program ends with another status than 0.
	Unless []string `yaml:"unless" vigo:"argv"`

	// OnlyIf is a guard, as a list: the command is due if this program ends with status 0.
	OnlyIf []string `yaml:"only_if" vigo:"argv"`

	// RefreshOnly runs the command only when a resource that notifies it has changed, and the guards agree.
	RefreshOnly bool `yaml:"refresh_only"`

	// Always runs the command in every run, if the guards agree.
	Always bool `yaml:"always"`

	// Dir is the working directory of the command and its guards; "/" if it is not given.
	Dir string `yaml:"cwd"`

	// Env are environment variables for the command and its guards, beside PATH, LANG and HOME.
	Env map[string]string `yaml:"env" vigo:"secret"`

	// Stdin is what the command reads from its standard input; nothing if it is not given. It may hold secrets: unlike the
	// command itself, nobody else on the machine sees it. The guards read nothing.
	Stdin string `yaml:"stdin" vigo:"secret"`

	// User is the name of the user that the command and its guards run as.
	User string `yaml:"user"`

	// Umask of the command, as a quoted octal string such as "0027".
	Umask string `yaml:"umask"`

	// Returns are the statuses that mean success; [0] if it is not given.
	Returns []int `yaml:"returns"`

	ran weak.Pointer[host.Host] // the run in which it was run: an always command runs once a run
}

var (
	_ resource.Validator = (*Exec)(nil)
	_ resource.Refresher = (*Exec)(nil)
	_ resource.Requirer  = (*Exec)(nil)
)

// Validate implements [resource.Validator].
func (e *Exec) Validate() error {
	for field, argv := range map[string][]string{"command": e.Command, "unless": e.Unless, "only_if": e.OnlyIf} {
		if argv != nil && (len(argv) == 0 || argv[0] == "") {
			return fmt.Errorf("%s names no program", field)
		}
	}
	guarded := e.Creates != "" || e.Removes != "" || e.Unless != nil || e.OnlyIf != nil
	switch {
	case !guarded && !e.RefreshOnly && !e.Always:
		return fault.WithHint(errors.New("nothing says when the command is due"),
			"give creates, removes, unless, only_if or refresh_only, or always: true to run it in every run")
	case e.RefreshOnly && e.Always:
		return errors.New("refresh_only and always exclude each other")
	}
	for field, name := range map[string]string{"creates": e.Creates, "removes": e.Removes, "cwd": e.Dir} {
		if name == "" || field == "cwd" && name == "/" {
			continue
		}
		if err := checkPath(name); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
	}
	if _, err := strconv.ParseUint(e.Umask, 8, 9); e.Umask != "" && err != nil {
		return fmt.Errorf("umask: %q is not an octal string such as \"0027\"", e.Umask)
	}
	for name := range e.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			return fmt.Errorf("env: %q is not the name of a variable", name)
		}
	}
	return nil
}

// Requires implements [resource.Requirer].
func (e *Exec) Requires() []resource.ID {
	var ids []resource.ID
	if e.Dir != "" && e.Dir != "/" {
		ids = append(above(e.Dir), resource.ID{Type: "directory", Name: e.Dir})
	}
	if e.User != "" {
		ids = append(ids, resource.ID{Type: "user", Name: e.User})
	}
	return ids
}

// Plan implements [resource.Resource].
func (e *Exec) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if e.RefreshOnly {
		return p, nil
	}
	reason, err := e.due(ctx, h)
	if err != nil || reason == "" {
		return p, err
	}
	argv, err := json.Marshal(e.Command)
	if err != nil {
		return p, fmt.Errorf("rendering the command: %w", err)
	}
	p.Do(func(ctx context.Context) error { return e.run(ctx, h) },
		change.Change{Field: "command", From: reason, To: "run " + string(argv)})
	return p, nil
}

// Refresh implements [resource.Refresher]. The guards hold here too.
func (e *Exec) Refresh(ctx context.Context, h *host.Host) error {
	reason, err := e.due(ctx, h)
	if err != nil || reason == "" {
		return err
	}
	return e.run(ctx, h)
}

// due returns why the command is to be run, or "".
func (e *Exec) due(ctx context.Context, h *host.Host) (reason string, err error) {
	if e.Always && e.ran == weak.Make(h) {
		return "", nil
	}
	reason = "due in every run"
	if e.RefreshOnly {
		reason = "refresh"
	}
	if e.Creates != "" {
		is, err := look(h, e.Creates)
		if err != nil || is != nil {
			return "", err
		}
		reason = e.Creates + " is absent"
	}
	if e.Removes != "" {
		is, err := look(h, e.Removes)
		if err != nil || is == nil {
			return "", err
		}
		reason = e.Removes + " is present"
	}
	if e.Unless != nil {
		res, err := h.Run.Run(ctx, e.program(e.Unless))
		if err != nil {
			return "", fmt.Errorf("unless: %w", err)
		}
		if res.Code == 0 {
			return "", nil
		}
		reason = fmt.Sprintf("unless ended with status %d", res.Code)
	}
	if e.OnlyIf != nil {
		res, err := h.Run.Run(ctx, e.program(e.OnlyIf))
		if err != nil {
			return "", fmt.Errorf("only_if: %w", err)
		}
		if res.Code != 0 {
			return "", nil
		}
		reason = "only_if ended with status 0"
	}
	return reason, nil
}

// program makes a command of an argument list.
func (e *Exec) program(argv []string) host.Command {
	c := host.Command{Argv: argv, Dir: e.Dir, User: e.User, Umask: e.Umask}
	for _, name := range slices.Sorted(maps.Keys(e.Env)) {
		c.Env = append(c.Env, name+"="+e.Env[name])
	}
	return c
}

func (e *Exec) run(ctx context.Context, h *host.Host) error {
	c := e.program(e.Command)
	if e.Stdin != "" {
		c.Stdin = strings.NewReader(e.Stdin)
	}
	res, err := h.Run.Run(ctx, c)
	if err != nil {
		return err
	}
	e.ran = weak.Make(h)
	good := e.Returns
	if good == nil {
		good = []int{0}
	}
	if !slices.Contains(good, res.Code) {
		return fmt.Errorf("%s ended with status %d%s", e.Command[0], res.Code, lastWords(append(res.Stdout, res.Stderr...)))
	}
	return nil
}
