package resources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// SudoRule says who may run what as whom with sudo(8): a file of its own, /etc/sudoers.d/<name>, mode 0440. The file
// is checked with visudo(8) before it takes effect, where the machine has it. Files are read in the order of their
// names; of several rules for a command the last one wins.
//
//	resources:
//	  - sudo_rule: ops
//	    groups: [ops]
//	    commands: [/usr/bin/systemctl restart nginx, /usr/bin/journalctl]
//	    no_password: true
type SudoRule struct {
	// Name of the rule and of its file: letters, digits, "-" and "_" only, since sudo passes over files with a dot
	// in their name.
	Name string `vigo:"identity"`

	// Ensure says whether the rule should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Users that the rule is for, by name, by number as #1000, or ALL.
	Users []string `yaml:"users"`

	// Groups that the rule is for, by name.
	Groups []string `yaml:"groups"`

	// Hosts on which the rule holds; ALL if it is not given.
	Hosts []string `yaml:"hosts"`

	// RunAs are the users that the commands may be run as; ALL if it is not given.
	RunAs []string `yaml:"run_as"`

	// RunAsGroups are the groups that the commands may be run as; none if it is not given.
	RunAsGroups []string `yaml:"run_as_groups"`

	// Commands that may be run, each as sudoers(5) writes it: an absolute path, with arguments where only those are
	// allowed, or ALL. In arguments the characters , : = and # are written with a backslash before them.
	Commands []string `yaml:"commands"`

	// NoPassword lets the commands be run without asking for a password (NOPASSWD).
	NoPassword bool `yaml:"no_password"`

	// NoExec keeps the commands from starting other programs, such as a shell from an editor (NOEXEC).
	NoExec bool `yaml:"no_exec"`

	// SetEnv lets the user set variables of the environment for the command (SETENV).
	SetEnv bool `yaml:"set_env"`

	// Defaults are settings for the users and groups of the rule, as sudoers(5) writes them, such as !requiretty or
	// timestamp_timeout=5.
	Defaults []string `yaml:"defaults"`
}

var (
	_ resource.Validator = (*SudoRule)(nil)
	_ resource.Requirer  = (*SudoRule)(nil)

	sudoWho     = regexp.MustCompile(`^(!?#?[A-Za-z0-9_][A-Za-z0-9_.@\\+-]*\$?)$`)
	sudoDigest  = regexp.MustCompile(`^sha(224|256|384|512):[A-Za-z0-9+/=]+ +`)
	sudoCommand = regexp.MustCompile(`^!?(/|\^/|sudoedit( |$)|list$|[A-Z][A-Z0-9_]*$)`)
)

// Validate implements [resource.Validator].
func (s *SudoRule) Validate() error {
	if !plainWord(s.Name, "") {
		return fault.WithHint(fmt.Errorf("%q cannot be the name of a file of sudo", s.Name), `letters, digits, "-" and "_" only`)
	}
	if s.Ensure == "absent" {
		return nil
	}
	if len(s.Users)+len(s.Groups) == 0 {
		return errors.New(`needs the key "users" or "groups" to know whom the rule is for`)
	}
	if len(s.Commands)+len(s.Defaults) == 0 {
		return errors.New(`needs the key "commands"`)
	}
	for key, names := range map[string][]string{"users": s.Users, "groups": s.Groups, "run_as": s.RunAs, "run_as_groups": s.RunAsGroups} {
		for _, n := range names {
			if !sudoWho.MatchString(n) {
				return fmt.Errorf("%s: %q is not a name", key, n)
			}
		}
	}
	for _, host := range s.Hosts {
		if strings.ContainsAny(host, " \t\r\n,=#\\") || host == "" {
			return fmt.Errorf("hosts: %q is not the name of a host", host)
		}
	}
	for _, c := range s.Commands {
		if err := checkSudoCommand(c); err != nil {
			return err
		}
	}
	for _, d := range s.Defaults {
		if d == "" || strings.ContainsAny(d, "\r\n#\x00") || strings.HasSuffix(d, `\`) {
			return fmt.Errorf("defaults: %q is not one setting", d)
		}
	}
	return nil
}

// checkSudoCommand refuses what would end the command and begin something else: a list, another rule, a comment.
func checkSudoCommand(c string) error {
	bare := sudoDigest.ReplaceAllString(c, "")
	if !sudoCommand.MatchString(bare) {
		return fault.WithHint(fmt.Errorf("commands: %q is not a command", c), "want an absolute path, with or without arguments, or ALL")
	}
	escaped := false
	for _, r := range bare {
		switch {
		case escaped:
			escaped = false
		case r == '\\':
			escaped = true
		case strings.ContainsRune(",:=#", r):
			return fault.WithHint(fmt.Errorf("commands: %q holds a bare %q", c, r), `write \`+string(r)+" where it belongs to an argument, and each command as an item of its own")
		}
		if strings.ContainsRune("\r\n\x00", r) {
			return fmt.Errorf("commands: %q is not one line", c)
		}
	}
	if escaped {
		return fmt.Errorf("commands: %q ends with a backslash", c)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (s *SudoRule) Requires() []resource.ID {
	ids := []resource.ID{{Type: "package", Name: "sudo"}}
	for _, u := range s.Users {
		ids = append(ids, resource.ID{Type: "user", Name: u})
	}
	for _, g := range s.Groups {
		ids = append(ids, resource.ID{Type: "group", Name: g})
	}
	return ids
}

// Plan implements [resource.Resource].
func (s *SudoRule) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	f := ownedAs("/etc/sudoers.d/"+s.Name, s.content(), 0o440)
	if s.Ensure == "absent" {
		return gone(f.Path).Plan(ctx, h)
	}
	if err := f.checkedBy(h, "visudo", "-cf", "{}"); err != nil {
		return resource.Plan{}, err
	}
	return f.Plan(ctx, h)
}

// content is the file.
func (s *SudoRule) content() string {
	who := append([]string{}, s.Users...)
	for _, g := range s.Groups {
		who = append(who, "%"+g)
	}
	var b strings.Builder
	b.WriteString(ownedMark)
	for _, d := range s.Defaults {
		for _, w := range who {
			fmt.Fprintf(&b, "Defaults:%s %s\n", w, d)
		}
	}
	if len(s.Commands) == 0 {
		return b.String()
	}
	as := orWord(strings.Join(s.RunAs, ","), "ALL")
	if len(s.RunAsGroups) > 0 {
		as += ":" + strings.Join(s.RunAsGroups, ",")
	}
	tags := ""
	for _, t := range []struct {
		on   bool
		word string
	}{{s.NoPassword, "NOPASSWD: "}, {s.NoExec, "NOEXEC: "}, {s.SetEnv, "SETENV: "}} {
		if t.on {
			tags += t.word
		}
	}
	fmt.Fprintf(&b, "%s %s=(%s) %s%s\n", strings.Join(who, ","), orWord(strings.Join(s.Hosts, ","), "ALL"), as, tags, strings.Join(s.Commands, ", "))
	return b.String()
}
