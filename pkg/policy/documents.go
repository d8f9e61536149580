package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"gopkg.in/yaml.v3"
)

// named returns the names of the YAML files of a folder without their ending, sorted; none when there is no such folder. What is
// neither a file nor a folder is refused by [Layers], which says why.
func (l *loader) named(folder string) ([]string, error) {
	entries, err := fs.ReadDir(l.fsys, folder) // sorted
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading %s: %w", folder, err)
	}
	var names []string
	for _, e := range entries {
		if name, isYAML := strings.CutSuffix(e.Name(), yamlEnding); isYAML && e.Type().IsRegular() {
			names = append(names, name)
		}
	}
	return names, nil
}

const yamlEnding = ".yaml"

// document reads the document in a file; no node after a problem was recorded. [fs.ErrNotExist] is passed on.
func (l *loader) document(file string) (*reader, *yaml.Node, error) {
	data, err := l.read(file)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", file, err)
	}
	r := l.reader(file)
	if data == nil {
		return r, nil, nil
	}
	return r, r.parse(data), nil
}
