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

// SELinuxBoolean is a switch of the policy of SELinux, now and after a reboot. What it is now is read from the kernel, what it is
// after a reboot from booleans.local of the store of policies; both are changed by setsebool(8), which takes some seconds. On a
// machine whose kernel runs without SELinux it is semanage(8) that changes the second.
//
//	resources:
//	  - selinux_boolean: httpd_can_network_connect
//	    value: true
type SELinuxBoolean struct {
	// Name of the boolean.
	Name string `vigo:"identity"`

	// Value it should have.
	Value *bool `yaml:"value" vigo:"required"`
}

var (
	_ resource.Validator = (*SELinuxBoolean)(nil)
	_ resource.Requirer  = (*SELinuxBoolean)(nil)
)

// Validate implements [resource.Validator].
func (b *SELinuxBoolean) Validate() error { return checkWord("the name of the boolean", b.Name) }

// Requires implements [resource.Requirer].
func (b *SELinuxBoolean) Requires() []resource.ID { return selinuxTools() }

// selinuxTools are what changes the store of policies.
func selinuxTools() []resource.ID {
	return []resource.ID{{Type: "package", Name: "policycoreutils"}, {Type: "package", Name: "policycoreutils-python-utils"}}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// Plan implements [resource.Resource].
func (b *SELinuxBoolean) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	_, policy, err := selinuxSettings(h)
	if err != nil {
		return p, fault.WithHint(err, "declare the package of a policy, such as selinux-policy-targeted or selinux-policy-default")
	}
	mode, err := selinuxMode(h)
	if err != nil {
		return p, err
	}
	want := onOff(*b.Value)
	var changes []change.Change
	if mode != "disabled" {
		is, err := b.running(h)
		if err != nil {
			return p, err
		}
		if is != want {
			changes = append(changes, change.Of("value", is, want))
		}
	}
	stored, err := b.stored(h, policy)
	if err != nil {
		return p, err
	}
	if stored != want {
		changes = append(changes, change.Of("at boot", orWord(stored, "as the policy has it"), want))
	}
	if len(changes) == 0 {
		return p, nil
	}
	argv := []string{"setsebool", "-P", b.Name, want}
	if mode == "disabled" {
		argv = []string{"semanage", "boolean", "-N", "-m", "--" + want, b.Name}
	}
	p.Do(func(ctx context.Context) error { return runProgram(ctx, h, argv...) }, changes...)
	return p, nil
}

// running is what the boolean is in the kernel.
func (b *SELinuxBoolean) running(h *host.Host) (string, error) {
	data, err := h.FS.Read(path.Join(selinuxFS, "booleans", b.Name), 64)
	if errors.Is(err, host.ErrNotFound) {
		return "", fault.WithHint(fmt.Errorf("finding the boolean %s: %w", b.Name, host.ErrNotFound), "the loaded policy has none of this name; getsebool -a lists them")
	}
	if err != nil {
		return "", fmt.Errorf("reading the boolean %s: %w", b.Name, err)
	}
	return onOff(strings.HasPrefix(string(data), "1")), nil // the current and the pending value
}

// stored is what the boolean is made at boot; empty if the store says nothing of it.
func (b *SELinuxBoolean) stored(h *host.Host, policy string) (string, error) {
	data, err := h.FS.Read(path.Join("/var/lib/selinux", policy, "active/booleans.local"), maxEdit)
	if errors.Is(err, host.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading the booleans of the store: %w", err)
	}
	value := ""
	for line := range strings.Lines(string(data)) {
		name, is, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && strings.TrimSpace(name) == b.Name {
			is = strings.ToLower(strings.TrimSpace(is))
			value = onOff(is == "1" || is == "on" || is == "true")
		}
	}
	return value, nil
}
