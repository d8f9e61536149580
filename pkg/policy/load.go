package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
)

var nameRule = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)

// Read reads a policy repository, has check look at it, and packs it into layers. What is wrong is returned all at once
// as [fault.Problems]: check sees the rest of a repository of which a part cannot be read, unless that part is fleet.yaml.
// Another error means that the repository could not be read.
func Read(fsys fs.FS, check func(*Policy, *Content) error) (*Policy, []Layer, error) {
	var problems, more fault.Problems
	p := &Policy{Modules: map[string]*Module{}, broken: map[string]bool{}}
	l := loader{fsys: fsys, problems: &problems}
	if err := errors.Join(l.fleet(p), l.modules(p), l.roles(p), l.alerts(p), l.rollouts(p)); err != nil {
		return nil, nil, err
	}
	if p.Fleet == nil {
		return nil, nil, problems.Err()
	}
	layers, err := Layers(p, fsys)
	if err == nil {
		err = check(p, ContentOf(layers))
	}
	if err != nil && !errors.As(err, &more) {
		return nil, nil, err
	}
	if problems = beside(problems, more); len(problems) > 0 {
		return nil, nil, problems.Err()
	}
	return p, layers, nil
}

// beside adds what was found by checking to what was found by reading. What was found on a line that could not be read
// only follows from that.
func beside(read, checked fault.Problems) fault.Problems {
	type line struct {
		file string
		line int
	}
	unread := map[line]bool{}
	for _, p := range read {
		unread[line{p.Pos.File, p.Pos.Line}] = true
	}
	for _, p := range checked {
		if !unread[line{p.Pos.File, p.Pos.Line}] {
			read = append(read, p)
		}
	}
	return once(read)
}

// once leaves out what is said already: a default with a mistake is read for each resource that takes it.
func once(problems fault.Problems) fault.Problems {
	said := make(map[fault.Problem]bool, len(problems))
	var kept fault.Problems
	for _, p := range problems {
		if !said[p] {
			said[p] = true
			kept = append(kept, p)
		}
	}
	return kept
}

type loader struct {
	fsys     fs.FS
	problems *fault.Problems
}

func (l *loader) fail(file, code, hint, msg string) {
	*l.problems = append(*l.problems, fault.Problem{Pos: fault.Pos{File: file}, Code: code, Hint: hint, Msg: msg})
}

func (l *loader) reader(file string) *reader { return &reader{file: file, problems: l.problems} }

// read returns a file, or nil after recording a problem when it is too large. fs.ErrNotExist is passed on.
func (l *loader) read(file string) ([]byte, error) {
	info, err := fs.Stat(l.fsys, file)
	if err != nil {
		return nil, err
	}
	if info.Size() > MaxDocument {
		l.fail(file, "too-large", "", fmt.Sprintf("the document has %d bytes, more than the %d that are allowed", info.Size(), MaxDocument))
		return nil, nil
	}
	data, err := fs.ReadFile(l.fsys, file)
	if data == nil {
		data = []byte{} // an empty file is none that is too large
	}
	return data, err
}

func (l *loader) fleet(p *Policy) error {
	const file = "fleet.yaml"
	r, n, err := l.document(file)
	if errors.Is(err, fs.ErrNotExist) {
		l.fail(file, "missing-file", "a policy repository begins with it: kind: Fleet, name: acme", "the file is missing")
		return nil
	}
	if err != nil || n == nil {
		return err
	}
	if p.Fleet = r.fleet(n); p.Fleet == nil {
		return nil
	}
	p.Needs = max(p.Needs, r.needs)
	return errors.Join(l.data(p.Fleet), l.secrets(&p.Fleet.Secrets))
}

func (l *loader) modules(p *Policy) error {
	dirs, err := fs.ReadDir(l.fsys, "modules")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading modules: %w", err)
	}
	for _, dir := range dirs {
		if !dir.IsDir() {
			continue
		}
		file := path.Join("modules", dir.Name(), "module.yaml")
		if !nameRule.MatchString(dir.Name()) {
			l.fail(path.Dir(file), "bad-name", "lower-case letters, digits, - and _", fmt.Sprintf("%q is not a name for a module", dir.Name()))
			p.broken[dir.Name()] = true
			continue
		}
		p.broken[dir.Name()] = true
		r, n, err := l.document(file)
		if errors.Is(err, fs.ErrNotExist) {
			l.fail(file, "missing-file", "every folder in modules/ has one", "the file is missing")
			continue
		}
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		if m := r.module(n, dir.Name()); m != nil {
			p.Modules[dir.Name()] = m
			delete(p.broken, dir.Name())
		}
	}
	return nil
}

func (l *loader) roles(p *Policy) error {
	names, err := l.named("roles")
	if err != nil {
		return err
	}
	for _, name := range names {
		file := path.Join("roles", name+yamlEnding)
		if !nameRule.MatchString(name) {
			l.fail(file, "bad-name", "lower-case letters, digits, - and _", fmt.Sprintf("%q is not a name for a role", name))
			continue
		}
		r, n, err := l.document(file)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		if role := r.role(n, name); role != nil {
			p.Roles = append(p.Roles, role)
			p.Needs = max(p.Needs, r.needs)
		}
	}
	slices.SortFunc(p.Roles, func(a, b *Role) int { return strings.Compare(a.Name, b.Name) })
	return nil
}

// data reads the files of the data hierarchy.
func (l *loader) data(f *Fleet) error {
	if f == nil {
		return nil
	}
	f.Files = map[string]Data{}
	return fs.WalkDir(l.fsys, "data", func(file string, e fs.DirEntry, err error) error {
		if file == "data" && errors.Is(err, fs.ErrNotExist) {
			return nil // there need be none; a file of it that is gone is another matter
		}
		if err != nil || !e.Type().IsRegular() || !strings.HasSuffix(file, yamlEnding) {
			return err
		}
		r, n, err := l.document(file)
		if err != nil || n == nil {
			return err
		}
		f.Files[strings.TrimPrefix(file, "data/")] = r.data(n)
		return nil
	})
}

// LoadFleet reads fleet.yaml alone.
func LoadFleet(fsys fs.FS) (*Fleet, error) {
	var problems fault.Problems
	p := &Policy{}
	l := loader{fsys: fsys, problems: &problems}
	if err := l.fleet(p); err != nil {
		return nil, err
	}
	return p.Fleet, problems.Err()
}
