package resources

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// keptFile is a file of the system that belongs to one resource whole, and to root.
type keptFile struct {
	Path       string
	Content    string
	Mode       fs.FileMode
	Validation resource.Argv // passed over where the machine lacks its program
}

// plan plans that the file is there as it should be; its directory is made if it is missing.
func (k keptFile) plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if err := planParent(h, &p, k.Path); err != nil {
		return p, err
	}
	argv := k.Validation
	if len(argv) > 0 {
		there, err := hasProgram(h, argv[0])
		if err != nil {
			return p, err
		}
		if !there {
			argv = nil
		}
	}
	f := File{Path: k.Path, Content: &k.Content, Mode: &resource.Mode{Perm: k.Mode}, Owner: "0", Group: "0", Validation: argv}
	file, err := f.Plan(ctx, h)
	p.Include("", file)
	return p, err
}

// remove plans that the file is not there.
func (k keptFile) remove(ctx context.Context, h *host.Host) (resource.Plan, error) {
	return gone(k.Path).Plan(ctx, h)
}

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
