package traits

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/trait"
)

// External is what the site itself tells of a machine: the files in /etc/vigo/traits.d, by name without extension. A
// .json or .yaml file is its content. An executable is run once an hour, and when the folder has changed, and is what it
// prints, as JSON or YAML; it has ten seconds. Executables that are not root's, or that others may write, are refused,
// and so are links. Each may be 256 KiB, all together 1 MiB; there may be 50.
//
//	when: external.site.rack == "r12"
type External map[string]any

const (
	externalDir     = "/etc/vigo/traits.d"
	maxExternals    = 50
	maxExternal     = 256 << 10
	maxAllExternal  = 1 << 20
	externalTimeout = 10 * time.Second
)

func collectExternal(ctx context.Context, h *host.Host) (External, error) {
	files, err := h.FS.List(externalDir)
	if err != nil {
		return nil, missing(err)
	}
	var problems []error
	taken := map[string]host.Info{} // by the name of the trait
	for _, f := range files {
		if strings.HasPrefix(f.Name, ".") || strings.HasSuffix(f.Name, "~") || strings.Contains(f.Name, ".dpkg-") {
			continue
		}
		name := strings.TrimSuffix(f.Name, path.Ext(f.Name))
		if err := admit(f, name, taken); err != nil {
			problems = append(problems, fmt.Errorf("%s/%s: %w", externalDir, f.Name, err))
			continue
		}
		taken[name] = f
	}
	external := External{}
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, f := range taken {
		all.Go(func() {
			v, err := externalValue(ctx, h, f)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				problems = append(problems, fmt.Errorf("%s/%s: %w", externalDir, f.Name, err))
				return
			}
			external[name] = v
		})
	}
	all.Wait()
	problems = append(problems, bound(external, taken)...)
	if len(external) == 0 && len(problems) == 0 {
		return nil, trait.ErrNone
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return external, partly(problems...)
}

// bound takes out what makes the whole larger than the report service takes.
func bound(external External, from map[string]host.Info) (problems []error) {
	total := 0
	for _, name := range sortedKeys(external) {
		doc, err := json.Marshal(external[name])
		if total += len(doc); err == nil && total > maxAllExternal {
			err = fmt.Errorf("with it, all are more than %d KiB", maxAllExternal>>10)
		}
		if err != nil {
			total -= len(doc)
			delete(external, name)
			problems = append(problems, fmt.Errorf("%s/%s: %w", externalDir, from[name].Name, err))
		}
	}
	return problems
}

// externalName is what may stand behind "external." in a condition.
var externalName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// admit says why a file is not taken. What may be run is what only root could have put there.
func admit(f host.Info, name string, taken map[string]host.Info) error {
	switch {
	case f.Kind != host.File:
		return fmt.Errorf("is a %s, not a file", f.Kind)
	case !externalName.MatchString(name):
		return fmt.Errorf("%q is no name for a trait: want lower-case letters, digits and _", name)
	case taken[name].Name != "":
		return fmt.Errorf("has the name of %s", taken[name].Name)
	case len(taken) >= maxExternals:
		return fmt.Errorf("there are more than %d", maxExternals)
	case isDocument(f):
		return nil
	case f.Mode&0o111 == 0:
		return errors.New("is neither executable nor .json or .yaml")
	case f.UID != 0:
		return fmt.Errorf("is not run: it belongs to user %d, not to root", f.UID)
	case f.Mode&0o022 != 0:
		return fmt.Errorf("is not run: others than root may write it (mode %04o)", f.Mode.Perm())
	}
	return nil
}

func isDocument(f host.Info) bool {
	ext := path.Ext(f.Name)
	return ext == ".json" || ext == ".yaml" || ext == ".yml"
}

// externalValue reads a document, or runs an executable and reads what it prints.
func externalValue(ctx context.Context, h *host.Host, f host.Info) (any, error) {
	full := path.Join(externalDir, f.Name)
	if isDocument(f) {
		data, err := h.FS.Read(full, maxExternal)
		if err != nil {
			return nil, err
		}
		return parseDocument(data)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, externalTimeout, fmt.Errorf("it did not end within %s", externalTimeout))
	defer cancel()
	res, err := h.Run.Run(ctx, host.Command{Argv: []string{full}, Limit: maxExternal + 1})
	switch {
	case err != nil:
		return nil, err
	case res.Code != 0:
		return nil, fmt.Errorf("exit status %d", res.Code)
	case len(res.Stdout) > maxExternal:
		return nil, fmt.Errorf("it printed more than %d KiB", maxExternal>>10)
	}
	return parseDocument(res.Stdout)
}

// parseDocument reads one value as JSON, or as YAML where its mappings have text for keys, and returns it as JSON has
// it.
func parseDocument(data []byte) (any, error) {
	var v any
	if json.Unmarshal(data, &v) == nil {
		return v, nil
	}
	if err := yaml.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("it is neither JSON nor YAML: %w", err)
	}
	if v == nil {
		return nil, errors.New("it is empty")
	}
	doc, err := json.Marshal(v)
	if err != nil { // keys that are no text, numbers that are no number
		return nil, fmt.Errorf("it is not what JSON can hold: %w", err)
	}
	v = nil
	err = json.Unmarshal(doc, &v)
	return v, err
}
