package resources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Ini is a setting, or several, in a file of keys and values: one with [sections], one of lines such as KEY=value, or one
// whose keys and values are separated by white space. Comments, order, blank lines and the spacing of lines that are
// right already are kept.
//
// A key that is there once too often is left once. Sections of the same name count as one. # and ; start a comment only at
// the beginning of a line, so what stands behind a value is a part of it. A line that ends in a backslash goes on in the
// next. Names of sections and keys are compared with their case.
//
//	resources:
//	  - ini: journal size
//	    path: /etc/systemd/journald.conf
//	    section: Journal
//	    settings:
//	      SystemMaxUse: 200M
//	      MaxRetentionSec: 1month
//	  - ini: default umask
//	    path: /etc/login.defs
//	    key: UMASK
//	    value: "027"
//	    separator: "\t"
type Ini struct {
	// Name of the setting in the policy, free to choose.
	Name string `vigo:"identity"`

	// Path of the file, absolute. It must not be a symbolic link.
	Path string `yaml:"path" vigo:"required"`

	// Section is the section, without its brackets. Empty means the lines before the first section.
	Section string `yaml:"section"`

	// Key is the name of the setting. Without key and settings, absent removes the section as a whole.
	Key string `yaml:"key"`

	// Value of the key. Without it the key stands alone on its line, as skip-networking in a file of MySQL.
	Value *string `yaml:"value"`

	// Values are those of a key that may be there several times, one line each, in this order.
	Values []string `yaml:"values"`

	// Settings are several keys of the section with their values, in place of key and value.
	Settings map[string]string `yaml:"settings"`

	// Ensure says whether the keys should be there. Absent removes them, whatever their value.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Separator stands between key and value of a line that is written: "=", " = ", ":" and the like, or white space
	// alone. If it is not given, a changed line keeps its own, and a new one has that of the first setting in the file,
	// or " = ".
	Separator string `yaml:"separator"`

	// Create makes the file when it is missing. Without it a missing file is an error.
	Create bool `yaml:"create"`

	// Validation is a command that checks the new file before it takes the place of the old: {} stands for its path.
	Validation resource.Argv `yaml:"validate"`
}

var (
	_ resource.Validator = (*Ini)(nil)
	_ resource.Requirer  = (*Ini)(nil)
)

// Validate implements [resource.Validator].
func (i *Ini) Validate() error {
	if err := checkPath(i.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if strings.ContainsAny(i.Section, "[]\n\r\x00") {
		return fault.WithHint(fmt.Errorf("section: %q holds a bracket or a line end", i.Section), "write the name without its brackets")
	}
	given := i.Value != nil || i.Values != nil
	switch {
	case i.Key != "" && i.Settings != nil:
		return errors.New("key and settings exclude each other")
	case i.Value != nil && i.Values != nil:
		return errors.New("value and values exclude each other")
	case i.Key == "" && given:
		return errors.New("value needs a key")
	case i.Values != nil && len(i.Values) == 0:
		return fault.WithHint(errors.New("values is empty"), "ensure: absent removes the key")
	case i.Ensure == "absent" && given:
		return errors.New("a key that is to be absent has no value")
	case i.Key == "" && len(i.Settings) == 0 && i.Ensure != "absent":
		return errors.New("needs key or settings")
	case i.Key == "" && len(i.Settings) == 0 && i.Section == "":
		return errors.New("needs key, settings or section to know what to remove")
	}
	for key, values := range i.wanted() {
		if err := i.check(key, values); err != nil {
			return err
		}
	}
	return checkValidation(i.Validation)
}

// check refuses what would not be read back as it was written.
func (i *Ini) check(key string, values []string) error {
	cut := strings.TrimSpace(i.Separator)
	bad := "\n\r\x00" + cut
	if cut == "" && i.Separator != "" {
		bad += " \t"
	} else if cut == "" {
		bad += "="
	}
	switch {
	case key == "" || strings.TrimSpace(key) != key || strings.ContainsAny(key, bad) || strings.ContainsAny(key[:1], "#;[") ||
		strings.HasPrefix(key, "\ufeff") || len(values) == 0 && i.Ensure != "absent" && strings.HasSuffix(key, `\`):
		return fmt.Errorf("key: %q cannot be the name of a setting", key)
	case strings.Trim(i.Separator, " \t=:~<>|,") != "":
		return fmt.Errorf("separator: %q cannot stand between key and value", i.Separator)
	}
	for _, v := range values {
		if err := oneLine("value", v); err != nil {
			return err
		}
		if v == "" && cut == "" && i.Separator != "" {
			return errors.New("value: where white space separates, there is no empty value")
		}
		if strings.TrimSpace(v) != v || strings.HasSuffix(v, `\`) {
			return fault.WithHint(fmt.Errorf("value: %q begins or ends with white space, or ends with a backslash", v),
				"such a value is not read back as it is written")
		}
	}
	return nil
}

// wanted returns the values by key: none for a key alone.
func (i *Ini) wanted() map[string][]string {
	all := map[string][]string{}
	switch {
	case i.Value != nil:
		all[i.Key] = []string{*i.Value}
	case i.Key != "":
		all[i.Key] = i.Values
	}
	for key, value := range i.Settings {
		all[key] = []string{value}
	}
	return all
}

// Requires implements [resource.Requirer].
func (i *Ini) Requires() []resource.ID {
	return append(above(i.Path), resource.ID{Type: "file", Name: i.Path})
}

// Plan implements [resource.Resource].
func (i *Ini) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	return textEdit{Path: i.Path, Create: i.Create, Validation: i.Validation, Edit: func(lines []string) ([]string, error) {
		return i.edit(lines), nil
	}}.plan(h)
}

// edit returns the lines as they should be.
func (i *Ini) edit(lines []string) []string {
	wanted := i.wanted()
	f := readIni(lines, i.Separator)
	if len(wanted) == 0 {
		return f.withoutSection(i.Section)
	}
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		if i.Ensure == "absent" {
			f.set(i.Section, key, nil)
			continue
		}
		f.set(i.Section, key, f.render(i.Section, key, wanted[key]))
	}
	return f.lines()
}
