package resources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// ownedMark heads every file that is wholly Vigo's.
const ownedMark = "# Written by Vigo, changes are taken back.\n"

// ownedFile is a configuration file of root's, mode 0644, that belongs to one resource as a whole. Missing parents are made.
func ownedFile(name, body string) *File { return ownedAs(name, body, 0o644) }

// ownedAs is ownedFile with another mode.
func ownedAs(name, body string, mode fs.FileMode) *File {
	return &File{Path: name, Content: &body, Mode: &resource.Mode{Perm: mode}, Owner: "0", Group: "0", owned: true}
}

// checkedBy has a candidate checked by a program, where the machine has it.
func (f *File) checkedBy(h *host.Host, argv ...string) error {
	there, err := hasProgram(h, argv[0])
	if there {
		f.check = validation(h, argv)
	}
	return err
}

// gone is a file that should not be there.
func gone(name string) *File { return &File{Path: name, Ensure: "absent"} }

// live reports whether systemd runs, as sd_booted(3) does.
func live(h *host.Host) (bool, error) {
	is, err := look(h, "/run/systemd/system")
	return is != nil && is.Kind == host.Dir, err
}

// runProgram runs a program that must end with status 0.
func runProgram(ctx context.Context, h *host.Host, argv ...string) error {
	return runCommand(ctx, h, host.Command{Argv: argv})
}

func runCommand(ctx context.Context, h *host.Host, c host.Command) error {
	res, err := h.Run.Run(ctx, c)
	if err != nil {
		return err
	}
	if res.Code != 0 {
		return fmt.Errorf("%s ended with status %d%s", c.Argv[0], res.Code, lastWords(append(res.Stdout, res.Stderr...)))
	}
	return nil
}

// restartIfRunning restarts services that read their configuration at start; those that are not there, or do not run, are
// left alone.
func restartIfRunning(ctx context.Context, h *host.Host, names ...string) error {
	for _, name := range names {
		is, err := h.Services.Service(ctx, name)
		if errors.Is(err, host.ErrNotFound) || err == nil && (!is.Live || !is.Running) {
			continue
		}
		if err == nil {
			err = h.Services.Restart(ctx, name, false)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unitState plans whether a unit runs and starts at boot. One whose file is only about to be written is not known yet.
func unitState(ctx context.Context, h *host.Host, name string, running, enabled *bool) (resource.Plan, error) {
	var p resource.Plan
	if running == nil && enabled == nil {
		return p, nil
	}
	s := &Service{Name: name, Running: running, Enabled: enabled}
	_, err := h.Services.Service(ctx, name)
	if !errors.Is(err, host.ErrNotFound) {
		return s.Plan(ctx, h)
	}
	if isTrue(enabled) {
		p.Do(func(ctx context.Context) error { return h.Services.SetBoot(ctx, name, host.Enabled) }, change.Of("enabled", false, true))
	}
	if isTrue(running) {
		is, err := live(h)
		if err != nil || !is {
			return p, err
		}
		p.Do(func(ctx context.Context) error { return h.Services.SetRunning(ctx, name, true) }, change.Of("running", false, true))
	}
	return p, nil
}

// unitGone plans that a unit is stopped and does not start at boot, before its file goes.
func unitGone(ctx context.Context, h *host.Host, name string) (resource.Plan, error) {
	no := false
	return (&Service{Name: name, Running: &no, Enabled: &no}).Plan(ctx, h)
}

// checkWord says what is wrong with a name that becomes a part of a file name.
func checkWord(field, s string) error {
	for _, r := range s {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			continue
		}
		return fault.WithHint(fmt.Errorf("%s: %q is not a plain name", field, s), `letters, digits, ".", "-" and "_"`)
	}
	if s == "" || s[0] == '.' || s[0] == '-' {
		return fmt.Errorf("%s: %q is not a plain name", field, s)
	}
	return nil
}

// ownedPlan plans a file that something must be told of. If it will have none of the new file, the old one is put back, so
// that the next run tries again.
func ownedPlan(ctx context.Context, h *host.Host, f *File, tell func(context.Context) error) (resource.Plan, error) {
	p, err := f.Plan(ctx, h)
	if err != nil || p.Empty() {
		return p.Tell(tell), err
	}
	was, err := look(h, f.Path)
	if err != nil {
		return p, err
	}
	var old []byte
	had := was != nil && was.Kind == host.File
	if had {
		if old, err = h.FS.Read(f.Path, maxEdit); err != nil {
			return p, err
		}
	}
	return p.Tell(func(ctx context.Context) error {
		err := tell(ctx)
		if err == nil {
			return nil
		}
		said := err.Error()
		ctx = context.WithoutCancel(ctx)
		if had {
			as := host.WriteOptions{Attr: host.Attr{Mode: &was.Mode, UID: &was.UID, GID: &was.GID}}
			err = errors.Join(err, h.FS.Write(ctx, f.Path, bytes.NewReader(old), as))
		} else {
			err = errors.Join(err, h.FS.Remove(ctx, f.Path, false))
		}
		if again := tell(ctx); again != nil && again.Error() != said {
			err = errors.Join(err, again)
		}
		return fmt.Errorf("%w; %s is as it was before", err, f.Path)
	}), nil
}

// settingLines renders settings as lines key=value, sorted by key.
func settingLines(settings map[string]string, between string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		b.WriteString(key + between + settings[key] + "\n")
	}
	return b.String()
}

// checkSettings says what is wrong with settings that become lines of a file.
func checkSettings(field string, settings map[string]string) error {
	for key, value := range settings {
		if !cronVar.MatchString(key) {
			return fmt.Errorf("%s: %q is not the name of a setting", field, key)
		}
		if err := oneLine(field+": "+key, value); err != nil {
			return err
		}
	}
	return nil
}
