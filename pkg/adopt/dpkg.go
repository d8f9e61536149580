package adopt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/host"
)

// database is what dpkg and its friends know of a machine. Without dpkg it is empty.
type database struct {
	there     bool
	packages  map[string]*installed // by name
	auto      map[string]bool       // installed for the sake of others, by name
	conffiles map[string]string     // md5 as delivered, by path
	owner     map[string]string     // package, by path; of the folders that matter here
	ucf       map[string]string     // md5 as delivered, by path
	scripts   []byte                // what maintainers run, and sysusers.d
}

// installed is one package.
type installed struct {
	name, priority  string
	essential, held bool
	depends         string   // on other packages, as deb-control(5) has it
	base            bool     // part of any system, or needed by what is, so that nobody has chosen it
	units           []string // that it brings
}

const (
	dpkgDir   = "/var/lib/dpkg"
	maxStatus = 64 << 20
	// maxScripts is the most bytes of maintainer scripts that are kept.
	maxScripts = 32 << 20
)

func readDatabase(fsys host.FileReader) (*database, error) {
	db := &database{packages: map[string]*installed{}, auto: map[string]bool{}, conffiles: map[string]string{}, owner: map[string]string{}, ucf: map[string]string{}}
	status, err := fsys.Read(dpkgDir+"/status", maxStatus)
	if errors.Is(err, host.ErrNotFound) {
		return db, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the package database: %w", err)
	}
	db.there = true
	db.readStatus(status)
	db.markBase()
	states, err := optional(fsys, "/var/lib/apt/extended_states")
	if err != nil {
		return nil, err
	}
	for p := range paragraphs(states) {
		if p["Auto-Installed"] == "1" {
			db.auto[p["Package"]] = true
		}
	}
	hashes, err := optional(fsys, "/var/lib/ucf/hashfile")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(hashes)) {
		if f := strings.Fields(line); len(f) == 2 {
			db.ucf[f[1]] = f[0]
		}
	}
	return db, db.readInfo(fsys)
}

// optional reads a file; nothing if it is not there.
func optional(fsys host.FileReader, name string) ([]byte, error) {
	data, err := fsys.Read(name, maxStatus)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	return data, err
}

func (db *database) readStatus(status []byte) {
	for p := range paragraphs(status) {
		words := strings.Fields(p["Status"])
		if len(words) != 3 || words[2] != "installed" && !strings.HasPrefix(words[2], "triggers-") {
			continue
		}
		db.packages[p["Package"]] = &installed{name: p["Package"], priority: p["Priority"], essential: p["Essential"] == "yes", held: words[0] == "hold",
			depends: p["Pre-Depends"] + "," + p["Depends"]}
		for line := range strings.Lines(p["Conffiles"]) {
			if f := strings.Fields(line); len(f) == 2 && len(f[1]) == 32 { // further words say that it is obsolete
				db.conffiles[f[0]] = f[1]
			}
		}
	}
}

// markBase finds the packages that belong to any system, and what they need. A system that was put together by debootstrap(8)
// has no record of what was installed for the sake of others.
func (db *database) markBase() {
	var todo []*installed
	mark := func(p *installed) {
		if p != nil && !p.base {
			p.base = true
			todo = append(todo, p)
		}
	}
	for _, p := range db.packages {
		if p.essential || p.priority == "required" || p.priority == "important" || p.priority == "standard" {
			mark(p)
		}
	}
	for len(todo) > 0 {
		p := todo[0]
		todo = todo[1:]
		for word := range strings.FieldsFuncSeq(p.depends, func(r rune) bool { return r == ',' || r == '|' }) {
			name, _, _ := strings.Cut(strings.TrimSpace(word), " ")
			name, _, _ = strings.Cut(name, ":")
			mark(db.packages[name])
		}
	}
}

// paragraphs yields the paragraphs of deb-control(5); the lines of a field are kept.
func paragraphs(text []byte) func(yield func(map[string]string) bool) {
	return func(yield func(map[string]string) bool) {
		p, key := map[string]string{}, ""
		for line := range bytes.Lines(text) {
			line := strings.TrimRight(string(line), "\n")
			if line == "" {
				if len(p) > 0 && !yield(p) {
					return
				}
				p, key = map[string]string{}, ""
				continue
			}
			if line[0] == ' ' || line[0] == '\t' {
				if key == "Conffiles" { // others are long and not wanted
					p[key] += line + "\n"
				}
				continue
			}
			name, value, ok := strings.Cut(line, ":")
			if ok {
				key, p[name] = name, strings.TrimSpace(value)
			}
		}
		if len(p) > 0 {
			yield(p)
		}
	}
}

// readInfo reads which package owns what, and what the maintainer scripts speak of.
func (db *database) readInfo(fsys host.FileReader) error {
	entries, err := fsys.List(dpkgDir + "/info")
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the package database: %w", err)
	}
	for _, e := range entries {
		file := path.Join(dpkgDir, "info", e.Name)
		name, _, _ := strings.Cut(strings.TrimSuffix(e.Name, path.Ext(e.Name)), ":")
		switch path.Ext(e.Name) {
		case ".list":
			err = db.readList(fsys, file, name)
		case ".postinst", ".preinst", ".config":
			err = db.readScript(fsys, file)
		}
		if err != nil {
			return err
		}
	}
	for _, dir := range []string{"/usr/lib/sysusers.d", "/usr/lib/tmpfiles.d"} {
		entries, err := fsys.List(dir)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return err
		}
		for _, e := range entries {
			if err := db.readScript(fsys, path.Join(dir, e.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (db *database) readList(fsys host.FileReader, file, name string) error {
	f, err := fsys.Open(file)
	if err != nil {
		return fmt.Errorf("reading the package database: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		at := lines.Text()
		unit, isUnit := strings.CutPrefix(strings.TrimPrefix(at, "/usr"), "/lib/systemd/system/")
		if isUnit && !strings.ContainsAny(unit, "/@") && db.packages[name] != nil {
			db.packages[name].units = append(db.packages[name].units, unit)
		}
		if strings.HasPrefix(at, "/etc/") || strings.HasPrefix(at, "/usr/local/") {
			db.owner[at] = name
		}
	}
	return lines.Err()
}

func (db *database) readScript(fsys host.FileReader, file string) error {
	data, err := optional(fsys, file)
	if err != nil {
		return fmt.Errorf("reading the package database: %w", err)
	}
	if len(db.scripts)+len(data) <= maxScripts {
		db.scripts = append(append(db.scripts, data...), '\n')
	}
	return nil
}

// mentions reports whether a maintainer script has a word: a path or the name of an account. What a package makes when it is
// installed is recorded nowhere else.
func (db *database) mentions(word string) bool {
	rest := db.scripts
	for {
		at := bytes.Index(rest, []byte(word))
		if at < 0 {
			return false
		}
		end := at + len(word)
		if (at == 0 || !wordByte(rest[at-1])) && (end == len(rest) || !wordByte(rest[end])) {
			return true
		}
		rest = rest[end:]
	}
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' || c == '/'
}
