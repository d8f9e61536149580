// Package starter holds the files a new policy repository begins with, and puts files into a repository without taking any
// that are there.
//
// It refuses to overwrite unless it is told to, and to write outside of the folder, also through symbolic links.
package starter

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
)

//go:embed all:files
var files embed.FS

// Options says what to begin with.
type Options struct {
	Fleet  string   // name of the fleet
	Forges []string // which there are checks for: of [Forges]
	Schema []byte   // JSON Schema of the documents, for editors; may be left out
	Bare   bool     // without the role and the module that show how
}

// Forges returns the names of the services that a repository can be on.
func Forges() []string { return []string{"gitea", "github", "gitlab"} }

// schemaFile is where documents look for their schema.
const schemaFile = ".vscode/vigo.schema.json"

// Files returns the files of a new repository by path. A README has five lines.
func Files(o Options) (map[string][]byte, error) {
	all := map[string][]byte{}
	if o.Schema != nil {
		all[schemaFile] = o.Schema
	}
	err := fs.WalkDir(files, "files", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := strings.TrimPrefix(file, "files/")
		if forge := forgeOf(name); forge != "" && !slices.Contains(o.Forges, forge) {
			return nil
		}
		if o.Bare && (strings.HasPrefix(name, "modules/") || strings.HasPrefix(name, "roles/")) {
			return nil
		}
		data, err := files.ReadFile(file)
		all[name] = []byte(strings.ReplaceAll(string(data), "FLEET", o.Fleet))
		return err
	})
	return all, err
}

// forgeOf is the service that a file is for.
func forgeOf(name string) string {
	for _, forge := range Forges() {
		if strings.HasPrefix(name, "."+forge) && name != ".gitignore" {
			return forge
		}
	}
	return ""
}

// Name makes the name of a fleet of that of a folder or host.
func Name(s string) string {
	s, _, _ = strings.Cut(strings.ToLower(s), ".")
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, s)
	s = strings.TrimLeft(s, "-_0123456789")
	return s[:min(len(s), 63)]
}

// Empty reports whether a folder is not there or holds nothing but the data of git.
func Empty(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking into the folder: %w", err)
	}
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != ".git" }), nil
}

// Check makes sure that a folder is a policy repository.
func Check(dir string) error {
	_, err := os.Stat(filepath.Join(dir, "fleet.yaml"))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.WithHint(errors.New("the folder "+dir+" is neither empty nor a policy repository"), "name a new folder; or begin one there: vigo init --force")
	}
	return err
}

// Write puts files into a folder, which is made if it is missing. If one of them is there already with other content, nothing is
// written, unless force is given. It returns the paths it wrote.
func Write(dir string, files map[string][]byte, force bool) (written []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the folder: %w", err)
	}
	defer root.Close()
	var there []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		is, err := root.ReadFile(name)
		switch {
		case err == nil && string(is) == string(files[name]):
			continue
		case err == nil:
			there = append(there, name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("looking at %s: %w", name, err)
		}
		written = append(written, name)
	}
	if len(there) > 0 && !force {
		err := fmt.Errorf("writing to %s: %s: there already, with other content", dir, strings.Join(there, ", "))
		return nil, fault.WithHint(err, "--force overwrites them; another folder leaves them alone")
	}
	for _, name := range written {
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
		if err := root.WriteFile(name, files[name], 0o644); err != nil {
			return nil, fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return written, nil
}
