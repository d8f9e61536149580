package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// KernelArgument is one argument of the kernel's command line at boot. It is kept in GRUB_CMDLINE_LINUX of /etc/default/grub
// (update-grub or grub2-mkconfig then write the boot menu), and in /etc/kernel/cmdline where that is there. Other arguments
// are left as they are. It holds from the next boot: see the type reboot.
//
//	resources:
//	  - kernel_argument: audit
//	    value: "1"
type KernelArgument struct {
	// Name of the argument, such as quiet or audit.
	Name string `vigo:"identity"`

	// Ensure says whether the argument should be there. Absent removes it whatever its value.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Value of the argument; none for a plain word such as quiet.
	Value string `yaml:"value"`
}

var _ resource.Validator = (*KernelArgument)(nil)

const (
	grubDefaults  = "/etc/default/grub"
	kernelCmdline = "/etc/kernel/cmdline"
)

// Validate implements [resource.Validator].
func (a *KernelArgument) Validate() error {
	if a.Name == "" || strings.Contains(a.Name, "=") || strings.ContainsFunc(a.Name, notInArgument) {
		return fmt.Errorf("%q is not the name of an argument", a.Name)
	}
	if strings.ContainsFunc(a.Value, notInArgument) {
		return fmt.Errorf("value: %q has white space, quotes or signs that a shell reads", a.Value)
	}
	if a.Ensure == "absent" && a.Value != "" {
		return errors.New("an argument that is to be absent has no value")
	}
	return nil
}

// notInArgument finds what would end an argument, or what the shell that reads the file of grub acts on.
func notInArgument(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsGraphic(r) || r == utf8.RuneError || strings.ContainsRune("\"'$`\\", r)
}

// Requires implements [resource.Requirer].
func (a *KernelArgument) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "grub2-common"}, {Type: "file", Name: grubDefaults}, {Type: "file", Name: kernelCmdline}}
}

func (a *KernelArgument) word() string {
	if a.Value == "" {
		return a.Name
	}
	return a.Name + "=" + a.Value
}

// edit returns the words of a command line as they should be.
func (a *KernelArgument) edit(words []string) []string {
	var out []string
	done := a.Ensure == "absent"
	for _, w := range words {
		if name, _, _ := strings.Cut(w, "="); name != a.Name {
			out = append(out, w)
		} else if !done {
			out, done = append(out, a.word()), true
		}
	}
	if !done {
		out = append(out, a.word())
	}
	return out
}

// Plan implements [resource.Resource].
func (a *KernelArgument) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	grub, err := look(h, grubDefaults)
	if err != nil {
		return p, err
	}
	cmdline, err := look(h, kernelCmdline)
	if err != nil {
		return p, err
	}
	if grub == nil && cmdline == nil {
		if a.Ensure == "absent" {
			return p, nil
		}
		err := fmt.Errorf("neither %s nor %s: %w", grubDefaults, kernelCmdline, host.ErrNotFound)
		return p, fault.WithHint(err, "this boot loader is not known; a container has none")
	}
	if grub != nil {
		plan, err := textEdit{Path: grubDefaults, Edit: a.editGrub}.plan(h)
		if err != nil {
			return p, err
		}
		p.Include("grub", plan.Then(func(ctx context.Context) error { return makeGrubMenu(ctx, h) }))
		if plan.Empty() {
			if err := a.planMenu(h, &p); err != nil {
				return resource.Plan{}, err
			}
		}
	}
	if cmdline != nil {
		plan, err := textEdit{Path: kernelCmdline, Edit: func(lines []string) ([]string, error) {
			words := strings.Fields(strings.Join(lines, " "))
			if edited := a.edit(words); !slices.Equal(edited, words) {
				return []string{strings.Join(edited, " ")}, nil
			}
			return lines, nil
		}}.plan(h)
		if err != nil {
			return resource.Plan{}, err
		}
		p.Include("cmdline", plan)
	}
	return p, nil
}

// editGrub edits the last line that sets the variable, as the shell that reads the file would.
func (a *KernelArgument) editGrub(lines []string) ([]string, error) {
	const key = "GRUB_CMDLINE_LINUX="
	at := -1
	for i, l := range lines {
		if strings.HasPrefix(l, key) {
			at = i
		}
	}
	if at < 0 {
		if a.Ensure == "absent" {
			return lines, nil
		}
		return append(slices.Clone(lines), key+`"`+a.word()+`"`), nil
	}
	value := strings.TrimSpace(strings.TrimPrefix(lines[at], key))
	inner := value
	if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		inner = value[1 : len(value)-1]
	}
	if strings.ContainsAny(inner, "\"'$`\\") || inner == value && strings.ContainsAny(inner, "# \t;&|<>()") {
		return nil, fault.WithHint(fmt.Errorf("line %d: %s has quotes, variables or a comment in it", at+1, strings.TrimSuffix(key, "=")),
			"write it as one plain string in double quotes")
	}
	words := strings.Fields(inner)
	edited := a.edit(words)
	if slices.Equal(edited, words) {
		return lines, nil
	}
	out := slices.Clone(lines)
	out[at] = key + `"` + strings.Join(edited, " ") + `"`
	return out, nil
}

// grubMenu finds the boot menu; "" if there is none.
func grubMenu(h *host.Host) (string, error) {
	for _, name := range []string{"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"} {
		if is, err := look(h, name); err != nil || is != nil {
			return name, err
		}
	}
	return "", nil
}

// planMenu sees to a menu that was not made after the defaults were changed.
func (a *KernelArgument) planMenu(h *host.Host, p *resource.Plan) error {
	name, err := grubMenu(h)
	if err != nil || name == "" {
		return err
	}
	menu, err := h.FS.Read(name, maxEdit)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(menu)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "linux" || slices.Equal(a.edit(words), words) {
			continue
		}
		p.Do(func(ctx context.Context) error { return makeGrubMenu(ctx, h) }, change.Of("boot menu", "older than "+grubDefaults, "made anew"))
		return nil
	}
	return nil
}

// makeGrubMenu writes the boot menu anew.
func makeGrubMenu(ctx context.Context, h *host.Host) error {
	is, err := hasProgram(h, "update-grub")
	if err != nil {
		return err
	}
	if is {
		return runProgram(ctx, h, "update-grub")
	}
	menu, err := grubMenu(h)
	if err != nil || menu == "" {
		return err
	}
	return runProgram(ctx, h, "grub2-mkconfig", "-o", menu)
}
