package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Alternatives chooses which of several programs stands behind a common name, such as editor or java. What is chosen is
// read from the database of update-alternatives, which is only run to change it.
//
//	resources:
//	  - alternatives: editor
//	    path: /usr/bin/vim.basic
type Alternatives struct {
	// Name of the alternative.
	Name string `vigo:"identity"`

	// Path of the program to choose. Without it the machine chooses the one of the highest priority.
	Path string `yaml:"path"`

	// Link is the common path, such as /usr/bin/editor. With link and priority, the path is added to the choices if it
	// is not one of them.
	Link string `yaml:"link"`

	// Priority of the path when it is added.
	Priority *int `yaml:"priority"`
}

var _ resource.Validator = (*Alternatives)(nil)

// Validate implements [resource.Validator].
func (a *Alternatives) Validate() error {
	if err := checkWord("the name", a.Name); err != nil {
		return err
	}
	for field, name := range map[string]string{"path": a.Path, "link": a.Link} {
		if name != "" {
			if err := checkPath(name); err != nil {
				return fmt.Errorf("%s: %w", field, err)
			}
		}
	}
	if (a.Link == "") != (a.Priority == nil) || a.Link != "" && a.Path == "" {
		return errors.New("link and priority belong together, and to a path")
	}
	return nil
}

// choices is one alternative in the database.
type choices struct {
	manual bool
	paths  map[string]int // priority by path
}

// best is the path that the machine chooses by itself.
func (c choices) best() string {
	best := ""
	for path, priority := range c.paths {
		if best == "" || priority > c.paths[best] || priority == c.paths[best] && path < best {
			best = path
		}
	}
	return best
}

// readChoices reads the database of dpkg, or of the same program of Red Hat: update-alternatives(1), section FILES.
func readChoices(h *host.Host, name string) (*choices, error) {
	for _, dir := range []string{"/var/lib/dpkg/alternatives", "/var/lib/alternatives"} {
		data, err := h.FS.Read(path.Join(dir, name), 1<<20)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c, err := parseChoices(string(data))
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", path.Join(dir, name), err)
		}
		return c, nil
	}
	return nil, nil
}

// parseChoices reads: the mode, the link, a name and a link for each follower and an empty line, and then for each choice
// its path, its priority and a path for each follower, and an empty line at the end.
func parseChoices(text string) (*choices, error) {
	lines := strings.Split(text, "\n")
	end := slices.Index(lines, "")
	if end < 2 || end%2 != 0 || lines[0] != "auto" && lines[0] != "manual" {
		return nil, errors.New("this is not the database of update-alternatives")
	}
	followers := (end - 2) / 2
	c := &choices{manual: lines[0] == "manual", paths: map[string]int{}}
	for at := end + 1; at+1 < len(lines) && lines[at] != ""; at += 2 + followers {
		priority, err := strconv.Atoi(lines[at+1])
		if err != nil {
			return nil, fmt.Errorf("line %d: %q is not a priority", at+2, lines[at+1])
		}
		c.paths[lines[at]] = priority
	}
	return c, nil
}

// Plan implements [resource.Resource].
func (a *Alternatives) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	c, err := readChoices(h, a.Name)
	if err != nil {
		return p, err
	}
	if c == nil {
		if a.Link == "" {
			err := fmt.Errorf("alternative %s: %w", a.Name, host.ErrNotFound)
			return p, fault.WithHint(err, "declare the package that brings it, or link and priority")
		}
		c = &choices{}
	}
	now := change.Absent
	if is, err := look(h, "/etc/alternatives/"+a.Name); err != nil {
		return p, err
	} else if is != nil {
		now = is.Target
	}
	run := func(words ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			return runProgram(ctx, h, append([]string{"update-alternatives"}, words...)...)
		}
	}
	if a.Path == "" {
		if c.manual || now != c.best() {
			p.Do(run("--auto", a.Name), change.Of("path", now, "the machine's choice"))
		}
		return p, nil
	}
	if priority, known := c.paths[a.Path]; !known || a.Priority != nil && priority != *a.Priority {
		if a.Link == "" {
			err := fmt.Errorf("alternative %s: %s is not one of the choices", a.Name, a.Path)
			return p, fault.WithHint(err, "declare the package that brings it, or link and priority")
		}
		from := change.Absent
		if known {
			from = strconv.Itoa(priority)
		}
		p.Do(run("--install", a.Link, a.Name, a.Path, strconv.Itoa(*a.Priority)), change.Of("priority", from, *a.Priority))
	}
	if !c.manual || now != a.Path {
		p.Do(run("--set", a.Name, a.Path), change.Of("path", now, a.Path))
	}
	return p, nil
}
