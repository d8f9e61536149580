package resources

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Custom is something only the site knows how to look at and to bring in line: an executable of its own does both. It is
// started with one argument, plan or apply, and is given one JSON document on its standard input:
//
//	{"vigo": 1, "action": "plan", "name": "seat", "ensure": "present", "config": {"seats": 5}, "secrets": {"token": "…"}}
//
// For plan it changes nothing and says what differs, as one JSON document on its standard output; no change means that the
// machine is in line:
//
//	{"changes": [{"field": "seats", "from": "3", "to": "5"}]}
//
// For apply it is also given these changes, makes them, and prints nothing or {}. What cannot be done is said as
// {"error": "the server does not answer"}, or by a status other than 0 with words on standard error. After apply it is asked
// for a plan once more; what is not in line then has failed.
//
// It has one minute for plan, or plan_timeout; for apply, the timeout of the resource. It may print 256 KiB and name 100
// changes. The plan runs a program in every run, and in dry runs: keep it short. The values of secrets are masked
// wherever the executable shows them; they are not among its arguments or its environment.
//
//	resources:
//	  - custom: seat
//	    program: /usr/local/lib/site/licence-seat
//	    config:
//	      seats: 5
type Custom struct {
	// Name of what is managed; the executable is told.
	Name string `vigo:"identity"`

	// Ensure is handed to the executable, which says what it means: present by default.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Program is the path of the executable. Only root may be able to write it.
	Program string `yaml:"program" vigo:"required"`

	// Config is handed to the executable: any mapping.
	Config map[string]any `yaml:"config"`

	// Secrets are handed to the executable, and masked in what it says.
	Secrets map[string]string `yaml:"secrets" vigo:"secret"`

	// User the executable runs as; root if it is not given.
	User string `yaml:"user"`

	// PlanTimeout is how long plan may take, at most an hour; one minute if it is not given.
	PlanTimeout *resource.Duration `yaml:"plan_timeout"`
}

const (
	maxCustomOutput  = 256 << 10
	maxCustomChanges = 100
	maxCustomText    = 4 << 10 // bytes of a field or value
	maxCustomError   = 1 << 10 // bytes that are shown of what it says went wrong
)

var (
	_ resource.Validator = (*Custom)(nil)
	_ resource.Requirer  = (*Custom)(nil)
)

// Validate implements [resource.Validator].
func (c *Custom) Validate() error {
	if err := checkPath(c.Program); err != nil {
		return fmt.Errorf("program: %w", err)
	}
	if t := c.PlanTimeout; t != nil && (t.Duration < time.Second || t.Duration > time.Hour) {
		return fmt.Errorf("plan_timeout: %s is not between 1s and 1h", t)
	}
	return oneLine("the name", c.Name)
}

// Requires implements [resource.Requirer].
func (c *Custom) Requires() []resource.ID {
	ids := append(above(c.Program), resource.ID{Type: "file", Name: c.Program})
	if c.User != "" {
		ids = append(ids, resource.ID{Type: "user", Name: c.User})
	}
	return ids
}

// customRequest is what the executable is given.
type customRequest struct {
	Version int               `json:"vigo"`
	Action  string            `json:"action"`
	Name    string            `json:"name"`
	Ensure  string            `json:"ensure"`
	Config  map[string]any    `json:"config,omitempty"`
	Secrets map[string]string `json:"secrets,omitempty"`
	Changes []customChange    `json:"changes,omitempty"`
}

// customReply is what it prints.
type customReply struct {
	Changes []customChange `json:"changes"`
	Error   string         `json:"error"`
}

type customChange struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// Plan implements [resource.Resource].
func (c *Custom) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if err := c.trusted(h); err != nil {
		return p, err
	}
	limit := time.Minute
	if c.PlanTimeout != nil {
		limit = c.PlanTimeout.Duration
	}
	short, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s plan did not end within %s", c.Program, limit))
	defer cancel()
	reply, err := c.ask(short, h, "plan", nil)
	if err != nil {
		if cause := context.Cause(short); cause != nil && ctx.Err() == nil {
			err = cause
		}
		return p, err
	}
	var changes []change.Change
	for _, d := range reply.Changes {
		changes = append(changes, change.Change{Field: c.masked(d.Field), From: c.masked(d.From), To: c.masked(d.To)})
	}
	if len(changes) > 0 {
		p.Do(func(ctx context.Context) error {
			_, err := c.ask(ctx, h, "apply", reply.Changes)
			return err
		}, changes...)
	}
	return p, nil
}

// trusted says what is wrong with the executable: who can write it is root.
func (c *Custom) trusted(h *host.Host) error {
	is, err := look(h, c.Program)
	switch {
	case err != nil:
		return err
	case is == nil:
		return fmt.Errorf("%s: %w", c.Program, host.ErrNotFound)
	case is.Kind != host.File:
		return fmt.Errorf("%s is a %s, not a file", c.Program, is.Kind)
	case is.UID != 0 || is.Mode&0o022 != 0:
		return fmt.Errorf("%s can be written by others than root: it is not run", c.Program)
	case is.Mode&0o111 == 0:
		return fmt.Errorf("%s is not executable", c.Program)
	}
	return nil
}

// ask runs the executable. All it says is masked.
func (c *Custom) ask(ctx context.Context, h *host.Host, action string, changes []customChange) (customReply, error) {
	request, err := json.Marshal(customRequest{Version: 1, Action: action, Name: c.Name, Ensure: orWord(c.Ensure, "present"),
		Config: c.Config, Secrets: c.Secrets, Changes: changes})
	if err != nil {
		return customReply{}, fmt.Errorf("rendering config: %w", err)
	}
	res, err := h.Run.Run(ctx, host.Command{Argv: []string{c.Program, action}, Stdin: bytes.NewReader(request), User: c.User,
		Limit: maxCustomOutput + 1})
	if err != nil {
		return customReply{}, err
	}
	if res.Code != 0 {
		words := lastWords([]byte(c.masked(string(append(res.Stdout, res.Stderr...)))))
		return customReply{}, fmt.Errorf("%s %s ended with status %d%s", c.Program, action, res.Code, words)
	}
	reply, err := readCustomReply(res.Stdout, action)
	if err != nil {
		return customReply{}, fmt.Errorf("%s %s: %s", c.Program, action, excerpt.Of(c.masked(err.Error()), maxCustomError))
	}
	return reply, nil
}

// readCustomReply reads what an executable printed. Only apply may print nothing.
func readCustomReply(out []byte, action string) (customReply, error) {
	var reply customReply
	if len(out) > maxCustomOutput {
		return reply, fmt.Errorf("it printed more than %d bytes", maxCustomOutput)
	}
	if len(bytes.TrimSpace(out)) == 0 {
		if action == "apply" {
			return reply, nil
		}
		return reply, errors.New(`it printed nothing: want {"changes": […]}`)
	}
	dec := json.NewDecoder(bytes.NewReader(out))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&reply); err != nil {
		return reply, fmt.Errorf("reading what it printed: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return reply, errors.New("reading what it printed: want one JSON document, something follows it")
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	if len(reply.Changes) > maxCustomChanges {
		return reply, fmt.Errorf("it names %d changes: at most %d are taken", len(reply.Changes), maxCustomChanges)
	}
	for i, d := range reply.Changes {
		if d.Field == "" {
			return reply, fmt.Errorf("change %d has no field", i+1)
		}
		if strings.ContainsAny(d.Field, "\n\r\x00") || len(d.Field)+len(d.From)+len(d.To) > maxCustomText {
			return reply, fmt.Errorf("change %d: field is one line, and a change has at most %d bytes", i+1, maxCustomText)
		}
	}
	return reply, nil
}

// masked hides the values of secrets.
func (c *Custom) masked(s string) string {
	for _, secret := range c.Secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, change.Masked)
		}
	}
	return s
}
