package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

const compiledName = "compiled.json"

// A Layer is the files of one module, or of the fleet when Module is empty.
type Layer struct {
	Module string
	Files  []bundle.File // by path
}

// Layers packs a policy: the fleet layer with roles and data, then one layer a module, by name. Each carries the compact
// form beside the files of the repository it was made from.
func Layers(p *Policy, fsys fs.FS) ([]Layer, error) {
	fleet := Policy{Fleet: p.Fleet, Roles: p.Roles, Needs: p.Needs}
	first, err := layer("", fleet, fsys, "fleet.yaml", "roles", "data", "templates")
	if err != nil {
		return nil, err
	}
	layers := []Layer{first}
	names := make([]string, 0, len(p.Modules))
	for name := range p.Modules {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		l, err := layer(name, p.Modules[name], fsys, path.Join("modules", name))
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	return layers, nil
}

func layer(module string, compact any, fsys fs.FS, roots ...string) (Layer, error) {
	data, err := json.Marshal(compact)
	if err != nil {
		return Layer{}, fmt.Errorf("packing module %q: %w", module, err)
	}
	l := Layer{Module: module, Files: []bundle.File{{Path: compiledName, Data: data}}}
	for _, root := range roots {
		err := fs.WalkDir(fsys, root, func(file string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			if len(l.Files) > MaxFiles {
				return tooLarge(root, "more than %d files", MaxFiles)
			}
			f, err := readFile(fsys, file, e)
			if err != nil {
				return err
			}
			if module != "" {
				f.Path = strings.TrimPrefix(file, root+"/")
			}
			if f.Path == compiledName {
				return tooLarge(file, "the name %s is reserved", compiledName)
			}
			l.Files = append(l.Files, f)
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Layer{}, err
		}
	}
	slices.SortFunc(l.Files, func(a, b bundle.File) int { return strings.Compare(a.Path, b.Path) })
	return l, nil
}

func tooLarge(file, format string, args ...any) error {
	return fault.Problems{{Pos: fault.Pos{File: file}, Code: "too-large", Msg: fmt.Sprintf(format, args...)}}
}

func readFile(fsys fs.FS, file string, e fs.DirEntry) (bundle.File, error) {
	info, err := e.Info()
	if err != nil {
		return bundle.File{}, err
	}
	if !info.Mode().IsRegular() {
		return bundle.File{}, fault.Problems{{Pos: fault.Pos{File: file}, Code: "not-a-file", Msg: "only regular files and folders can be part of a policy",
			Hint: "declare a symlink resource instead of keeping a link"}}
	}
	if info.Size() > MaxFile {
		return bundle.File{}, tooLarge(file, "the file has %d bytes, more than the %d that are allowed", info.Size(), MaxFile)
	}
	data, err := fs.ReadFile(fsys, file)
	if err != nil {
		return bundle.File{}, err
	}
	return bundle.File{Path: file, Data: data, Exec: info.Mode()&0o100 != 0}, nil
}

// Needed reports whether building catalogs takes a file of a layer: the compact form, files and templates, and not the text
// that the compact form was made from.
func Needed(path string) bool {
	return path == compiledName || strings.HasPrefix(path, "files/") || strings.HasPrefix(path, "templates/")
}

// Content is the files of the modules of a policy.
type Content struct {
	modules     map[string]map[string]bundle.File
	conditional map[string][]byte
}

// File returns files/<name> of a module; fs.ErrNotExist if it has none.
func (c *Content) File(module, name string) (bundle.File, error) {
	f, ok := c.modules[module][path.Join("files", name)]
	if !ok {
		return bundle.File{}, fmt.Errorf("files/%s of module %s: %w", name, module, fs.ErrNotExist)
	}
	return f, nil
}

// Template returns the text of templates/<name> of a module, or of the repository when the module has none of that name;
// fs.ErrNotExist if neither has one.
func (c *Content) Template(module, name string) (string, error) {
	if !fs.ValidPath(name) || path.Clean(name) != name {
		return "", fmt.Errorf("%q is not a path below templates/: %w", name, fs.ErrNotExist)
	}
	f, ok := c.modules[module][path.Join("templates", name)]
	if !ok {
		f, ok = c.modules[""][path.Join("templates", name)]
	}
	if !ok {
		return "", fmt.Errorf("templates/%s of module %s: %w", name, module, fs.ErrNotExist)
	}
	return string(f.Data), nil
}

// List returns the paths below <folder>/<dir> of a module, relative to it, sorted; folder is "files", "templates" or "tests".
func (c *Content) List(module, folder, dir string) []string {
	prefix := path.Join(folder, dir) + "/"
	var all []string
	for name := range c.modules[module] {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			all = append(all, rest)
		}
	}
	slices.Sort(all)
	return all
}

// Conditional returns the compact form of a module, as JSON, if there is a condition or a template in it; of the fleet with its
// roles and data when module is empty. Otherwise it returns nil: what such a module says is the same on every node.
func (c *Content) Conditional(module string) []byte { return c.conditional[module] }

// Read returns a file of a module by its path in it, such as "tests/ports.yaml"; fs.ErrNotExist if it has none.
func (c *Content) Read(module, name string) ([]byte, error) {
	f, ok := c.modules[module][name]
	if !ok {
		return nil, fmt.Errorf("%s of module %s: %w", name, module, fs.ErrNotExist)
	}
	return f.Data, nil
}
