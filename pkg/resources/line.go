package resources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// pattern is a compiled attribute.
type pattern = regexp.Regexp

// patternOf compiles a pattern attribute; none if it is empty.
func patternOf(field, expr string) (*pattern, error) {
	if expr == "" {
		return nil, nil
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fault.WithHint(fmt.Errorf("%s: %w", field, err), "patterns are Go (RE2) regular expressions")
	}
	return re, nil
}

// Line is one line of a text file that others own too. The line is compared as a whole.
//
// With match, exactly one line of the file is left that matches or equals the line: the first of them becomes the line,
// further ones are removed. So running it again changes nothing, whether or not the line matches its own pattern.
//
//	resources:
//	  - line: permit-root-login
//	    path: /etc/ssh/sshd_config
//	    text: PermitRootLogin no
//	    match: '^#?\s*PermitRootLogin\s'
type Line struct {
	// Name of the line in the policy, free to choose.
	Name string `vigo:"identity"`

	// Path of the file, absolute. It must not be a symbolic link.
	Path string `yaml:"path" vigo:"required"`

	// Text is the line as it should be, without its end.
	Text string `yaml:"text"`

	// Ensure says whether the line should be there. Absent removes every line that equals the line or matches.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Match is a regular expression (RE2) for the lines that this one takes the place of.
	Match string `yaml:"match"`

	// InsertAfter is a regular expression: what is new goes behind the last line that matches it, or at the end of
	// the file.
	InsertAfter string `yaml:"insert_after"`

	// InsertBefore is a regular expression: what is new goes before the first line that matches it, or at the end of
	// the file.
	InsertBefore string `yaml:"insert_before"`

	// Create makes the file when it is missing. Without it a missing file is an error.
	Create bool `yaml:"create"`

	// Validation is a command that checks the new file before it takes the place of the old: {} stands for its path.
	Validation resource.Argv `yaml:"validate"`
}

var (
	_ resource.Validator = (*Line)(nil)
	_ resource.Requirer  = (*Line)(nil)
)

// Validate implements [resource.Validator].
func (l *Line) Validate() error {
	if err := checkPath(l.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if err := oneLine("text", l.Text); err != nil {
		return err
	}
	_, errMatch := patternOf("match", l.Match)
	_, errPlace := placeOf(l.InsertAfter, l.InsertBefore)
	if err := errors.Join(errMatch, errPlace); err != nil {
		return err
	}
	switch {
	case l.Ensure != "absent" && l.Text == "":
		return errors.New("needs the key \"text\"")
	case l.Ensure == "absent" && l.Text == "" && l.Match == "":
		return errors.New("needs the key \"text\" or \"match\" to know what to remove")
	}
	return checkValidation(l.Validation)
}

// Requires implements [resource.Requirer].
func (l *Line) Requires() []resource.ID {
	return append(above(l.Path), resource.ID{Type: "file", Name: l.Path})
}

// Plan implements [resource.Resource].
func (l *Line) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	match, err := patternOf("match", l.Match)
	if err != nil {
		return resource.Plan{}, err
	}
	where, err := placeOf(l.InsertAfter, l.InsertBefore)
	if err != nil {
		return resource.Plan{}, err
	}
	return textEdit{Path: l.Path, Create: l.Create, Validation: l.Validation, Edit: func(lines []string) ([]string, error) {
		return l.edit(lines, match, where), nil
	}}.plan(h)
}

// edit returns the lines as they should be.
func (l *Line) edit(lines []string, match *pattern, where place) []string {
	mine := func(s string) bool { return l.Text != "" && s == l.Text || match != nil && match.MatchString(s) }
	if l.Ensure == "absent" {
		return slices.DeleteFunc(slices.Clone(lines), mine)
	}
	first := slices.IndexFunc(lines, mine)
	if first < 0 {
		return slices.Insert(slices.Clone(lines), where.of(lines), l.Text)
	}
	if match == nil {
		return lines
	}
	edited := slices.Clone(lines[:first])
	edited = append(edited, l.Text)
	for _, s := range lines[first+1:] {
		if !mine(s) {
			edited = append(edited, s)
		}
	}
	return edited
}
