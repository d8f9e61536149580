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

// Sysctl is a parameter of the running kernel, kept over a reboot by a file of its own in /etc/sysctl.d.
//
//	resources:
//	  - sysctl: net.ipv4.ip_forward
//	    value: "1"
type Sysctl struct {
	// Key of the parameter, such as net.ipv4.ip_forward. A key with a dot inside a name is written with slashes:
	// net/ipv4/conf/eth0.100/forwarding.
	Key string `vigo:"identity"`

	// Ensure says whether the parameter should be set (present, the default), or no longer be kept over a reboot
	// (absent; the value of the running kernel is left alone then).
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Value of the parameter; white space between several values does not matter.
	Value any `yaml:"value"`

	// Persist says whether the value is kept over a reboot; true by default.
	Persist *bool `yaml:"persist"`

	// File the value is kept in; by default /etc/sysctl.d/60-vigo-<key>.conf. The whole file belongs to this
	// resource. Files are read in the order of their names: a later one wins.
	File string `yaml:"file"`

	// Runtime says whether the running kernel is set too; true by default.
	Runtime *bool `yaml:"runtime"`

	// IgnoreMissing makes it no error that the running kernel has no such parameter, because its module is not
	// loaded, or it is built without.
	IgnoreMissing bool `yaml:"ignore_missing"`
}

var _ resource.Validator = (*Sysctl)(nil)

// Validate implements [resource.Validator].
func (s *Sysctl) Validate() error {
	key := "/" + strings.ReplaceAll(s.Key, ".", "/")
	if strings.ContainsAny(s.Key, " \t\n=#") || path.Clean(key) != key {
		return fmt.Errorf("%q is not the name of a kernel parameter", s.Key)
	}
	if s.Ensure == "absent" {
		return nil
	}
	switch s.Value.(type) {
	case string, int, int64, float64:
	case nil:
		return errors.New(`sysctl needs the key "value"`)
	default:
		return fmt.Errorf("value: want a string or a number, got %s", resource.Describe(s.Value))
	}
	if v := s.value(); v == "" || strings.ContainsAny(fmt.Sprint(s.Value), "\n\x00") {
		return errors.New("value: want one line that is not empty")
	}
	if s.Persist != nil && !*s.Persist && s.Runtime != nil && !*s.Runtime {
		return errors.New("persist: false and runtime: false leave nothing to do")
	}
	if s.File != "" && (!path.IsAbs(s.File) || path.Clean(s.File) != s.File) {
		return fmt.Errorf("file: %q is not an absolute, clean path", s.File)
	}
	return nil
}

// value is the wanted value in one form: single spaces.
func (s *Sysctl) value() string {
	if f, ok := s.Value.(float64); ok && f == float64(int64(f)) {
		return fmt.Sprint(int64(f))
	}
	return sysctlWords(fmt.Sprint(s.Value))
}

func sysctlWords(s string) string { return strings.Join(strings.Fields(s), " ") }

func (s *Sysctl) file() string {
	if s.File != "" {
		return s.File
	}
	return "/etc/sysctl.d/60-vigo-" + strings.ReplaceAll(s.Key, "/", "-") + ".conf"
}

// Plan implements [resource.Resource].
func (s *Sysctl) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var plan resource.Plan
	if s.Ensure == "absent" || s.Persist != nil && !*s.Persist {
		if err := planRemoveFile(h, s.file(), "persist", &plan); err != nil {
			return plan, err
		}
	} else {
		content := "# Kept by Vigo; changes are undone.\n" + s.Key + " = " + s.value() + "\n"
		if err := planWriteFile(h, s.file(), content, "persist", &plan); err != nil {
			return plan, err
		}
	}
	if s.Ensure == "absent" || s.Runtime != nil && !*s.Runtime {
		return plan, nil
	}
	is, err := h.Kernel.Sysctl(ctx, s.Key)
	switch {
	case errors.Is(err, errors.ErrUnsupported) && (s.Persist == nil || *s.Persist):
		return plan, nil // no kernel of this machine's own: only what holds at boot counts
	case errors.Is(err, host.ErrNotFound) && s.IgnoreMissing:
		return plan, nil
	case errors.Is(err, host.ErrNotFound):
		return resource.Plan{}, fault.WithHint(err, "is its module loaded? ignore_missing: true makes this no error")
	case err != nil:
		return resource.Plan{}, err
	}
	if want := s.value(); sysctlWords(is) != want {
		plan.Do(func(ctx context.Context) error { return h.Kernel.SetSysctl(ctx, s.Key, want) }, change.Of("value", sysctlWords(is), want))
	}
	return plan, nil
}

// planWriteFile plans that a small text file of the system, mode 0644, has exactly this content. A link is replaced.
func planWriteFile(h *host.Host, name, content, field string, plan *resource.Plan) error {
	from := change.Absent
	info, err := h.FS.Stat(name)
	if err == nil && info.Kind == host.File {
		data, err := h.FS.Read(name, 1<<20)
		if err != nil {
			return err
		}
		if string(data) == content {
			return nil
		}
		from = lastLine(string(data))
	} else if err != nil && !errors.Is(err, host.ErrNotFound) {
		return err
	}
	plan.Do(func(ctx context.Context) error {
		if err := h.FS.MakeDir(ctx, path.Dir(name), host.Attr{}); err != nil {
			return err
		}
		return h.FS.Write(ctx, name, strings.NewReader(content), host.WriteOptions{})
	}, change.Of(field, from, lastLine(content)))
	return nil
}

// planRemoveFile plans that a file is not there.
func planRemoveFile(h *host.Host, name, field string, plan *resource.Plan) error {
	_, err := h.FS.Stat(name)
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	plan.Do(func(ctx context.Context) error { return h.FS.Remove(ctx, name, false) }, change.Of(field, name, change.Absent))
	return nil
}

// lastLine is the last line of a text: in the small files here the one that says something.
func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndex(text, "\n")+1:])
}
