package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

// verifyDir is where a unit is looked at under its own name before it takes the place of the old one.
const verifyDir = "/run/vigo-verify"

// verifyUnit checks a candidate with systemd-analyze, if the machine has it: file is the name of a unit, or of a drop-in
// such as ssh.service.d/limits.conf, whose unit is looked at together with it.
func verifyUnit(h *host.Host, file string) func(context.Context, string) error {
	return func(ctx context.Context, candidate string) (err error) {
		if is, err := hasProgram(h, "systemd-analyze"); err != nil || !is {
			return err
		}
		unit := file
		if dir, _, dropIn := strings.Cut(file, "/"); dropIn {
			unit = strings.TrimSuffix(dir, ".d")
		}
		stage := path.Join(verifyDir, strings.ReplaceAll(file, "/", "-"))
		defer func() { err = errors.Join(err, h.FS.Remove(context.WithoutCancel(ctx), stage, true)) }()
		at := path.Join(stage, unit)
		if unit != file {
			whole, err := findUnitFile(h, unit)
			if errors.Is(err, host.ErrNotFound) {
				return nil // a drop-in may come before its unit
			}
			if err != nil {
				return err
			}
			if err := stageFile(ctx, h, whole, at); err != nil {
				return err
			}
		}
		if err := stageFile(ctx, h, candidate, path.Join(stage, file)); err != nil {
			return err
		}
		return analyze(ctx, h, at, stage)
	}
}

// analyze refuses what systemd-analyze ends with an error for, or warns of in a line of the staged files.
func analyze(ctx context.Context, h *host.Host, unit, stage string) error {
	res, err := h.Run.Run(ctx, host.Command{Argv: []string{"systemd-analyze", "verify", "--man=no", unit}})
	if err != nil {
		return fmt.Errorf("validating: %w", err)
	}
	said := string(append(res.Stdout, res.Stderr...))
	if res.Code == 0 && !strings.Contains(said, stage+"/") {
		return nil
	}
	err = fmt.Errorf("validating: systemd-analyze verify refused the unit with status %d%s", res.Code,
		strings.ReplaceAll(lastWords([]byte(said)), stage+"/", ""))
	return fault.WithHint(err, "units and drop-ins are written all the same with verify: false")
}

func stageFile(ctx context.Context, h *host.Host, from, to string) error {
	data, err := h.FS.Read(from, 1<<20)
	if err != nil {
		return err
	}
	if err := h.FS.MakeDir(ctx, path.Dir(to), host.Attr{}); err != nil {
		return err
	}
	return h.FS.Write(ctx, to, strings.NewReader(string(data)), host.WriteOptions{})
}

// findUnitFile finds the file of a unit, or of its template.
func findUnitFile(h *host.Host, unit string) (string, error) {
	names := []string{unit}
	if before, after, ok := strings.Cut(unit, "@"); ok {
		names = append(names, before+"@"+path.Ext(after))
	}
	for _, name := range names {
		for _, dir := range []string{unitFolder, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"} {
			is, err := look(h, path.Join(dir, name))
			if err != nil {
				return "", err
			}
			if is != nil && is.Kind == host.File {
				return path.Join(dir, name), nil
			}
		}
	}
	return "", fmt.Errorf("unit %s: %w", unit, host.ErrNotFound)
}
