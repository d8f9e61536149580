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

// UdevRule is a file of rules for devices: /etc/udev/rules.d/<name>.rules. The running udev reads it at once; with trigger
// the devices that are there get it too.
//
//	resources:
//	  - udev_rule: 60-sensor
//	    content: |
//	      SUBSYSTEM=="tty", ATTRS{idVendor}=="0403", SYMLINK+="sensor", MODE="0660", GROUP="dialout"
type UdevRule struct {
	// Name of the file without its suffix. udev reads the files in the order of their names, so it begins with two
	// digits.
	Name string `vigo:"identity"`

	// Ensure says whether the rules should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Content is the rules, one a line.
	Content string `yaml:"content"`

	// Trigger has udev handle the devices that are there once more when the rules have changed.
	Trigger bool `yaml:"trigger"`
}

var _ resource.Validator = (*UdevRule)(nil)

// Validate implements [resource.Validator].
func (u *UdevRule) Validate() error {
	if err := checkWord("the name of the rules", u.Name); err != nil {
		return err
	}
	if len(u.Name) < 4 || strings.Trim(u.Name[:2], "0123456789") != "" || u.Name[2] != '-' {
		return fault.WithHint(fmt.Errorf("%q does not begin with two digits and a dash", u.Name), "such as 60-"+u.Name)
	}
	switch {
	case strings.HasSuffix(u.Name, ".rules"):
		return errors.New(`the name is without ".rules"`)
	case u.Ensure == "absent" && u.Content != "":
		return errors.New("rules that are to be absent have no content")
	case u.Ensure != "absent" && strings.TrimSpace(u.Content) == "":
		return errors.New(`needs the key "content"`)
	}
	return checkUdev(u.Content)
}

// checkUdev finds lines that udev would pass over: no rule at all, or quotes that do not end. udev(7).
func checkUdev(content string) error {
	text := strings.ReplaceAll(content, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.Count(line, `"`)%2 != 0 {
			return fmt.Errorf("content: a quote does not end in %q", line)
		}
		for token := range strings.SplitSeq(outsideQuotes(line), ",") {
			if token = strings.TrimSpace(token); token != "" && !strings.Contains(token, "=") {
				return fmt.Errorf(`content: %q in %q is no key="value"`, token, line)
			}
		}
	}
	return nil
}

// outsideQuotes leaves the insides of double quotes out.
func outsideQuotes(line string) string {
	var b strings.Builder
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 0 {
			b.WriteString(part)
		}
	}
	return b.String()
}

// Plan implements [resource.Resource].
func (u *UdevRule) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	f := gone("/etc/udev/rules.d/" + u.Name + ".rules")
	if u.Ensure != "absent" {
		f = ownedFile(f.Path, ownedMark+strings.TrimRight(u.Content, "\n")+"\n")
	}
	return ownedPlan(ctx, h, f, func(ctx context.Context) error {
		if running, err := look(h, "/run/udev/control"); err != nil || running == nil {
			return err
		}
		if err := runProgram(ctx, h, "udevadm", "control", "--reload"); err != nil || !u.Trigger {
			return err
		}
		return runProgram(ctx, h, "udevadm", "trigger", "--action=change")
	})
}
