package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

const (
	selinuxConfig = "/etc/selinux/config"
	selinuxFS     = "/sys/fs/selinux"
	rebootSign    = "/run/reboot-required"
)

// SELinux is whether the kernel enforces the policy of SELinux, now and after a reboot: /etc/selinux/config and what the kernel
// says in its file system, both read without a child process. A machine has one mode.
//
// Between enforcing and permissive the kernel changes at once, by setenforce(8). To turn SELinux on or off, and to change the
// policy, a reboot is needed: it is not done, but asked for by /run/reboot-required, which the resource reboot and the trait
// boot look at. Where files have to be labelled anew at that reboot, /.autorelabel asks for it. Debian's kernel starts without
// SELinux unless kernel_argument gives it security=selinux.
//
//	resources:
//	  - selinux: enforcing
//	    policy: targeted
type SELinux struct {
	// Mode is enforcing, permissive (what the policy does not allow is only logged) or disabled.
	Mode string `vigo:"identity"`

	// Policy is the name of the policy, a folder of /etc/selinux: targeted on RedHat, default on Debian, mls. If it is not given,
	// it is left alone.
	Policy string `yaml:"policy"`
}

var (
	_ resource.Validator = (*SELinux)(nil)
	_ resource.Requirer  = (*SELinux)(nil)
)

// Validate implements [resource.Validator].
func (s *SELinux) Validate() error {
	switch s.Mode {
	case "enforcing", "permissive", "disabled":
	default:
		return fault.WithHint(fmt.Errorf("%q is not a mode of SELinux", s.Mode), "enforcing, permissive or disabled")
	}
	if s.Policy != "" {
		return checkWord("policy", s.Policy)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (s *SELinux) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "selinux-policy-" + orWord(s.Policy, "default")}, {Type: "package", Name: "selinux-basics"},
		{Type: "package", Name: "selinux-utils"}, {Type: "package", Name: "libselinux-utils"}}
}

// Plan implements [resource.Resource].
func (s *SELinux) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	wasMode, wasPolicy, err := selinuxSettings(h)
	if errors.Is(err, host.ErrNotFound) && s.Mode == "disabled" {
		return p, nil // a machine without SELinux
	}
	if errors.Is(err, host.ErrNotFound) {
		return p, fault.WithHint(err, "declare the package of a policy, such as selinux-policy-targeted or selinux-policy-default")
	}
	if err != nil {
		return p, err
	}
	policy := orWord(s.Policy, wasPolicy)
	if err := s.checkPolicy(h, policy); err != nil {
		return p, err
	}
	running, err := selinuxMode(h)
	if err != nil {
		return p, err
	}
	if err := s.planReboot(h, &p, running, wasPolicy != policy); err != nil {
		return p, err
	}
	if err := s.planConfig(h, &p, wasMode, wasPolicy, policy); err != nil {
		return p, err
	}
	if now := map[bool]string{true: "enforcing", false: "permissive"}[s.Mode == "enforcing"]; running != "disabled" && running != now {
		p.Do(func(ctx context.Context) error {
			return runProgram(ctx, h, "setenforce", map[bool]string{true: "1", false: "0"}[now == "enforcing"])
		}, change.Of("running mode", running, now))
	}
	return p, nil
}

// checkPolicy refuses a policy that the machine does not have: it would not boot.
func (s *SELinux) checkPolicy(h *host.Host, policy string) error {
	if s.Mode == "disabled" || policy == "" {
		return nil
	}
	is, err := look(h, path.Join("/etc/selinux", policy))
	if err == nil && is == nil {
		err = fault.WithHint(fmt.Errorf("finding the policy %s of SELinux: %w", policy, host.ErrNotFound), "declare its package")
	}
	return err
}

// planConfig plans the two settings of the configuration; all else in it stays.
func (s *SELinux) planConfig(h *host.Host, p *resource.Plan, wasMode, wasPolicy, policy string) error {
	want := map[string]string{"SELINUX": s.Mode}
	var changes []change.Change
	if wasMode != s.Mode {
		changes = append(changes, change.Of("mode", orWord(wasMode, change.Absent), s.Mode))
	}
	if policy != wasPolicy {
		want["SELINUXTYPE"] = policy
		changes = append(changes, change.Of("policy", orWord(wasPolicy, change.Absent), policy))
	}
	if len(changes) == 0 {
		return nil
	}
	edited, err := textEdit{Path: selinuxConfig, Edit: func(lines []string) ([]string, error) {
		out := append([]string{}, lines...)
		for _, key := range []string{"SELINUX", "SELINUXTYPE"} {
			if value, ok := want[key]; ok {
				out = setSelinux(out, key, value)
			}
		}
		return out, nil
	}}.plan(h)
	if err != nil {
		return err
	}
	p.Do(func(ctx context.Context) error {
		_, err := edited.Apply(ctx)
		return err
	}, changes...)
	return nil
}

// setSelinux sets a key of the configuration: its last line counts, so all of them are changed.
func setSelinux(lines []string, key, value string) []string {
	found := false
	for i, l := range lines {
		if is, _, ok := strings.Cut(strings.TrimSpace(l), "="); ok && strings.TrimSpace(is) == key {
			lines[i], found = key+"="+value, true
		}
	}
	if !found {
		lines = append(lines, key+"="+value)
	}
	return lines
}

// planReboot plans that a reboot is asked for, and first of all: a crash later must not lose it.
func (s *SELinux) planReboot(h *host.Host, p *resource.Plan, running string, otherPolicy bool) error {
	on := s.Mode != "disabled"
	if (running != "disabled") == on && (!on || !otherPolicy) {
		return nil
	}
	if on {
		if err := planSign(h, p, "relabel", "/.autorelabel", ""); err != nil {
			return err
		}
	}
	return planSign(h, p, "reboot", rebootSign, "*** System restart required ***\n")
}

// planSign plans a file that asks for something at the next boot.
func planSign(h *host.Host, p *resource.Plan, field, name, text string) error {
	if is, err := look(h, name); err != nil || is != nil {
		return err
	}
	p.Do(func(ctx context.Context) error {
		return h.FS.Write(ctx, name, strings.NewReader(text), host.WriteOptions{})
	}, change.Of(field, "not asked for", "asked for"))
	return nil
}

// selinuxSettings reads the configuration; not found is that the machine has no SELinux.
func selinuxSettings(h *host.Host) (mode, policy string, err error) {
	data, err := h.FS.Read(selinuxConfig, maxEdit)
	if err != nil {
		return "", "", fmt.Errorf("reading the configuration of SELinux: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok {
			continue
		}
		switch strings.TrimSpace(key) {
		case "SELINUX":
			mode = strings.ToLower(strings.TrimSpace(value))
		case "SELINUXTYPE":
			policy = strings.TrimSpace(value)
		}
	}
	return mode, policy, nil
}

// selinuxMode is what the kernel does.
func selinuxMode(h *host.Host) (string, error) {
	data, err := h.FS.Read(selinuxFS+"/enforce", 64)
	switch {
	case errors.Is(err, host.ErrNotFound):
		return "disabled", nil
	case err != nil:
		return "", fmt.Errorf("reading what SELinux does: %w", err)
	case strings.TrimSpace(string(data)) == "1":
		return "enforcing", nil
	}
	return "permissive", nil
}
