package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Replace is a regular expression all of whose matches in a text file are replaced. It is for files whose form no other
// type knows; ini, json, yaml, toml, xml and line say better what should be.
//
// Patterns see the whole file, with \n between lines; ^ and $ match at every line. A replacement that the pattern would
// change once more is refused before anything is written, or else each run would change the file again.
//
//	resources:
//	  - replace: old mirror
//	    path: /etc/apt/sources.list
//	    match: 'https?://old\.example\.com/(\S+)'
//	    with: https://mirror.example.com/${1}
type Replace struct {
	// Name of the replacement in the policy, free to choose.
	Name string `vigo:"identity"`

	// Path of the file, absolute. It must be there and not be a symbolic link.
	Path string `yaml:"path" vigo:"required"`

	// Match is the regular expression (RE2).
	Match string `yaml:"match" vigo:"required"`

	// With takes the place of each match; empty removes it. $1 or ${name} stand for what a group matched, $$ for a
	// dollar sign.
	With string `yaml:"with"`

	// From is a regular expression: only what is behind its first match is looked at. Where it matches nothing, nothing is
	// replaced.
	From string `yaml:"from"`

	// To is a regular expression: only what is before its first match, behind that of from, is looked at. Where it
	// matches nothing, nothing is replaced.
	To string `yaml:"to"`

	// Validation is a command that checks the new file before it takes the place of the old: {} stands for its path.
	Validation resource.Argv `yaml:"validate"`
}

var (
	_ resource.Validator = (*Replace)(nil)
	_ resource.Requirer  = (*Replace)(nil)
)

// Validate implements [resource.Validator].
func (r *Replace) Validate() error {
	if err := checkPath(r.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if r.Match == "" {
		return errors.New("match: an empty pattern matches everywhere")
	}
	_, err := r.patterns()
	return errors.Join(err, checkValidation(r.Validation))
}

// patterns compiles match, from and to.
func (r *Replace) patterns() (p [3]*pattern, err error) {
	for i, attr := range []struct{ field, expr string }{{"match", r.Match}, {"from", r.From}, {"to", r.To}} {
		if attr.expr == "" {
			continue
		}
		re, errOne := patternOf(attr.field, "(?m)"+attr.expr)
		p[i], err = re, errors.Join(err, errOne)
	}
	return p, err
}

// Requires implements [resource.Requirer].
func (r *Replace) Requires() []resource.ID {
	return append(above(r.Path), resource.ID{Type: "file", Name: r.Path})
}

// Plan implements [resource.Resource].
func (r *Replace) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	p, err := r.patterns()
	if err != nil {
		return resource.Plan{}, err
	}
	if err := mustBeThere(h, r.Path); err != nil {
		return resource.Plan{}, err
	}
	return textEdit{Path: r.Path, Validation: r.Validation, Edit: wholeText(func(old string) (string, error) {
		edited := ended(r.edit(old, p))
		if ended(r.edit(edited, p)) != edited {
			return "", fault.WithHint(errors.New("the replacement would be replaced again by the next run"),
				"make the pattern narrower, so that it does not match what it made")
		}
		if strings.Count(edited, "\r\n") > strings.Count(old, "\r\n") {
			return "", fault.WithHint(errors.New("the replacement makes a carriage return the end of a line"), "line ends stay those of the file")
		}
		return edited, nil
	})}.plan(h)
}

// edit replaces the matches of p[0] behind p[1] and before p[2].
func (r *Replace) edit(s string, p [3]*pattern) string {
	from, to := 0, len(s)
	if p[1] != nil {
		at := p[1].FindStringIndex(s)
		if at == nil {
			return s
		}
		from = at[1]
	}
	if p[2] != nil {
		at := p[2].FindStringIndex(s[from:])
		if at == nil {
			return s
		}
		to = from + at[0]
	}
	return s[:from] + p[0].ReplaceAllString(s[from:to], r.With) + s[to:]
}

// ended gives the last line its end, as the file will have it.
func ended(text string) string {
	if text == "" || strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

// mustBeThere says that a file is missing that nobody makes.
func mustBeThere(h *host.Host, name string) error {
	is, err := look(h, name)
	if err == nil && is == nil {
		err = fmt.Errorf("reading %s: %w", name, host.ErrNotFound)
	}
	return err
}

// wholeText makes an edit of lines of one that wants the file as a whole, each line ended by \n.
func wholeText(edit func(string) (string, error)) func([]string) ([]string, error) {
	return func(lines []string) ([]string, error) {
		old := text{lines: lines}.String()
		edited, err := edit(old)
		if err != nil || edited == old {
			return lines, err
		}
		if edited == "" {
			return nil, nil
		}
		return strings.Split(strings.TrimSuffix(edited, "\n"), "\n"), nil
	}
}
