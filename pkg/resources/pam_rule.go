package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// PAMRule is one line of a service of PAM, a file in /etc/pam.d. The lines of a type are asked in their order, so a new
// line says where it goes. The line that is there already is found by its type and module; of several, that with the same
// control is meant, unless match says which.
//
// A wrong line can lock everybody out. A file is therefore only replaced when the machine has the module of the line, and
// the new content can be read as pam.d(5) describes it. Where pam-auth-update or authselect keep a file, change their
// profiles instead, since they write it anew. A control that skips lines, such as [success=1 default=ignore], counts the
// new line too.
//
//	resources:
//	  - pam_rule: faillock before the password
//	    service: common-auth
//	    type: auth
//	    control: required
//	    module: pam_faillock.so
//	    arguments: [preauth]
//	    insert_before: pam_unix.so
type PAMRule struct {
	// Name of the rule in the policy, free to choose.
	Name string `vigo:"identity"`

	// Ensure says whether the line should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Service is the name of the file in /etc/pam.d.
	Service string `yaml:"service" vigo:"required"`

	// Type of the line.
	Type string `yaml:"type" vigo:"required,enum=auth|account|password|session"`

	// Optional makes a missing module no error (a "-" before the type).
	Optional bool `yaml:"optional"`

	// Control says what follows from the answer: required, requisite, sufficient, optional, or actions such as
	// [success=1 default=ignore].
	Control string `yaml:"control"`

	// Module is the file of the module, such as pam_faillock.so.
	Module string `yaml:"module" vigo:"required"`

	// Arguments of the module, exactly these. An argument with white space is written in square brackets.
	Arguments []string `yaml:"arguments"`

	// Match is a regular expression (RE2) for the line this one takes the place of, where the module is there more than
	// once.
	Match string `yaml:"match"`

	// InsertAfter is the module that a new line goes behind, the last of the same type.
	InsertAfter string `yaml:"insert_after"`

	// InsertBefore is the module that a new line goes before, the first of the same type.
	InsertBefore string `yaml:"insert_before"`
}

var (
	_ resource.Validator = (*PAMRule)(nil)
	_ resource.Requirer  = (*PAMRule)(nil)
)

// Validate implements [resource.Validator].
func (r *PAMRule) Validate() error {
	if !plainWord(r.Service, ".") {
		return fmt.Errorf("service: %q is not the name of a file in /etc/pam.d", r.Service)
	}
	if r.InsertAfter != "" && r.InsertBefore != "" {
		return errors.New("insert_after and insert_before exclude each other")
	}
	if _, err := patternOf("match", r.Match); err != nil {
		return err
	}
	if strings.ContainsAny(r.Module, " \t\r\n[]#\\") {
		return fmt.Errorf("module: %q is not the file of a module", r.Module)
	}
	if r.Ensure == "absent" {
		return nil
	}
	if r.Control == "" {
		return errors.New(`needs the key "control"`)
	}
	line, err := parsePAM(r.line())
	if err != nil {
		return err
	}
	if line == nil || line.control != r.Control || !slices.Equal(line.arguments, r.Arguments) {
		return fault.WithHint(fmt.Errorf("%q is read as something else", r.line()), "an argument with white space is written in square brackets")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (r *PAMRule) Requires() []resource.ID {
	base := strings.TrimSuffix(strings.TrimPrefix(path.Base(r.Module), "pam_"), ".so")
	return []resource.ID{{Type: "package", Name: "libpam-" + base}, {Type: "package", Name: "libpam-modules"}, {Type: "file", Name: r.path()}}
}

func (r *PAMRule) path() string { return "/etc/pam.d/" + r.Service }

// line is the line as it should be.
func (r *PAMRule) line() string {
	kind := r.Type
	if r.Optional {
		kind = "-" + kind
	}
	return strings.Join(append([]string{kind, r.Control, r.Module}, r.Arguments...), " ")
}

// Plan implements [resource.Resource].
func (r *PAMRule) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	match, err := patternOf("match", r.Match)
	if err != nil {
		return resource.Plan{}, err
	}
	check := func(_ context.Context, candidate string) error { return r.check(h, candidate) }
	return textEdit{Path: r.path(), Check: check, Edit: func(lines []string) ([]string, error) {
		return r.edit(lines, match)
	}}.plan(h)
}

// check refuses a file that would lock people out.
func (r *PAMRule) check(h *host.Host, candidate string) error {
	data, err := h.FS.Read(candidate, maxEdit)
	if err != nil {
		return err
	}
	if _, err := parsePAMFile(textOf(string(data)).lines); err != nil {
		return err
	}
	if r.Ensure == "absent" || r.Optional || r.Control == "include" || r.Control == "substack" {
		return nil
	}
	there, err := hasPAMModule(h, r.Module)
	if err == nil && !there {
		err = fmt.Errorf("finding the module %s: %w", r.Module, host.ErrNotFound)
		err = fault.WithHint(err, "declare the package that brings it; without it nobody could log in any more")
	}
	return err
}

// edit returns the lines as they should be.
func (r *PAMRule) edit(lines []string, match *pattern) ([]string, error) {
	parsed, err := parsePAMFile(lines)
	if err != nil {
		return nil, err
	}
	mine := func(i int) bool {
		l := parsed[i]
		return l != nil && l.kind == r.Type && path.Base(l.module) == path.Base(r.Module) && (match == nil || match.MatchString(l.text))
	}
	var found []int
	for i := range parsed {
		if mine(i) {
			found = append(found, i)
		}
	}
	want, err := parsePAM(r.line())
	if err != nil && r.Ensure != "absent" {
		return nil, err
	}
	if at := slices.IndexFunc(found, func(i int) bool { return r.Ensure != "absent" && parsed[i].same(*want) }); at >= 0 {
		return lines, nil
	}
	if len(found) > 1 && match == nil {
		found = slices.DeleteFunc(found, func(i int) bool { return parsed[i].control != r.Control && r.Control != "" })
	}
	switch {
	case r.Ensure == "absent":
		return withoutPAM(lines, parsed, found), nil
	case len(found) > 1:
		err := fmt.Errorf("%s is there %d times for %s", r.Module, len(found), r.Type)
		return nil, fault.WithHint(err, "say with match which line is meant")
	case len(found) == 1:
		first, last := parsed[found[0]].from, found[0]
		return slices.Concat(lines[:first], []string{r.line()}, lines[last+1:]), nil
	}
	at, err := r.place(lines, parsed)
	if err != nil {
		return nil, err
	}
	return slices.Insert(slices.Clone(lines), at, r.line()), nil
}

// place is where a new line goes.
func (r *PAMRule) place(lines []string, parsed []*pamLine) (int, error) {
	other := orWord(r.InsertAfter, r.InsertBefore)
	at, lastOfType := -1, -1
	for i, l := range parsed {
		if l == nil || l.kind != r.Type {
			continue
		}
		lastOfType = i
		if path.Base(l.module) != path.Base(other) || other == "" {
			continue
		}
		if r.InsertAfter != "" {
			at = i + 1
		} else if at < 0 {
			at = l.from
		}
	}
	switch {
	case other == "" && lastOfType < 0:
		return len(lines), nil
	case other == "":
		return lastOfType + 1, nil
	case at < 0:
		err := fmt.Errorf("there is no line of %s with %s to put the new one beside", r.Type, other)
		return 0, fault.WithHint(err, "name another module, or leave insert_after and insert_before out")
	}
	return at, nil
}
