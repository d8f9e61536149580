package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// An addon is a package of a language's own package manager: how it is, how it should be, and the programs that make it so.
type addon struct {
	Absent  bool
	Version string // wanted; empty: any
	Has     string // version that is there; empty: none
	Install func(context.Context, *host.Host) error
	Remove  func(context.Context, *host.Host) error
}

// plan compares the versions as texts.
func (a addon) plan(h *host.Host) resource.Plan {
	var p resource.Plan
	run := func(f func(context.Context, *host.Host) error) func(context.Context) error {
		return func(ctx context.Context) error { return f(ctx, h) }
	}
	switch {
	case a.Absent && a.Has != "":
		p.Do(run(a.Remove), change.Of("ensure", a.Has, change.Absent))
	case a.Absent:
	case a.Has == "":
		p.Do(run(a.Install), change.Of("ensure", change.Absent, orWord(a.Version, "present")))
	case a.Version != "" && a.Version != a.Has:
		p.Do(run(a.Install), change.Of("version", a.Has, a.Version))
	}
	return p
}

// program is a step that runs one program.
func program(c host.Command) func(context.Context, *host.Host) error {
	return func(ctx context.Context, h *host.Host) error { return runCommand(ctx, h, c) }
}

// checkAddon says what is wrong with the name and version of a package; others are the signs a name may hold beside
// letters, digits, "-" and "_".
func checkAddon(name, version, ensure, others string) error {
	switch {
	case !plainWord(name, others):
		return fmt.Errorf("%q is not the name of a package", name)
	case version != "" && !plainWord(version, ".+!"):
		return fault.WithHint(fmt.Errorf("%q is not a version", version), "one exact version, no range")
	case version != "" && ensure == "absent":
		return errors.New("version and ensure: absent exclude each other")
	}
	return nil
}

// entries are the names of what a directory holds; none if it is not there.
func entries(h *host.Host, dir string) ([]string, error) {
	list, err := h.FS.List(dir)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking into %s: %w", dir, err)
	}
	names := make([]string, 0, len(list))
	for _, e := range list {
		names = append(names, e.Name)
	}
	return names, nil
}

// startsWithDigit tells a version from the rest of a longer name.
func startsWithDigit(s string) bool { return s != "" && strings.Trim(s[:1], "0123456789") == "" }
