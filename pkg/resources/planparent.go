package resources

import (
	"context"
	"errors"
	"path"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// planParent plans the directory that a file of the system is in.
func planParent(h *host.Host, p *resource.Plan, file string) error {
	dir := path.Dir(file)
	is, err := look(h, dir)
	if err != nil || is != nil {
		return err
	}
	p.Do(func(ctx context.Context) error { return h.FS.MakeDir(ctx, dir, host.Attr{}) }, change.Of("directory", change.Absent, dir))
	return nil
}

// hasProgram reports whether the machine has a program, and can run it.
func hasProgram(h *host.Host, name string) (bool, error) {
	_, err := h.Run.Find(name)
	if errors.Is(err, host.ErrNotFound) || errors.Is(err, errors.ErrUnsupported) {
		return false, nil
	}
	return err == nil, err
}

// plainWord reports whether a name is made of letters, digits, "-" and "_" alone, and of the others given.
func plainWord(name, others string) bool {
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_"+others, c)) {
			return false
		}
	}
	return name != "" && name[0] != '-' && name[0] != '.'
}
