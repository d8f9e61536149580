package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// NPM is a Node.js package that is installed globally. What is installed is read from its package.json; npm runs only
// to change it.
//
//	resources:
//	  - npm: "@bazel/bazelisk"
//	    version: 1.19.0
type NPM struct {
	// Name of the package, with its scope.
	Name string `vigo:"identity"`

	// Ensure says whether it should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Version is the exact version. Without it any version will do.
	Version string `yaml:"version"`

	// Prefix is the directory to install into: packages go to lib/node_modules in it, programs to bin. /usr/local if
	// it is not given.
	Prefix string `yaml:"prefix"`
}

var (
	_ resource.Validator = (*NPM)(nil)
	_ resource.Requirer  = (*NPM)(nil)
)

const maxPackageJSON = 4 << 20

func (r *NPM) prefix() string { return orWord(r.Prefix, "/usr/local") }

// Validate implements [resource.Validator].
func (r *NPM) Validate() error {
	if err := checkPath(r.prefix()); err != nil {
		return err
	}
	name := r.Name
	if scope, rest, ok := strings.Cut(name, "/"); ok && strings.HasPrefix(scope, "@") && plainWord(scope[1:], ".") {
		name = rest
	}
	return checkAddon(name, r.Version, r.Ensure, ".")
}

// Requires implements [resource.Requirer].
func (r *NPM) Requires() []resource.ID {
	return append(above(path.Join(r.prefix(), "lib")), resource.ID{Type: "package", Name: "nodejs"}, resource.ID{Type: "package", Name: "npm"})
}

// Plan implements [resource.Resource].
func (r *NPM) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	has, err := r.installed(h)
	if err != nil {
		return resource.Plan{}, err
	}
	wish := r.Name
	if r.Version != "" {
		wish += "@" + r.Version
	}
	argv := func(verb string, rest ...string) host.Command {
		return host.Command{Argv: append([]string{"npm", verb, "--global", "--prefix", r.prefix(), "--no-update-notifier"}, rest...)}
	}
	return addon{
		Absent: r.Ensure == "absent", Version: r.Version, Has: has,
		Install: program(argv("install", "--no-audit", "--no-fund", wish)),
		Remove:  program(argv("uninstall", r.Name)),
	}.plan(h), nil
}

func (r *NPM) installed(h *host.Host) (string, error) {
	name := path.Join(r.prefix(), "lib/node_modules", r.Name, "package.json")
	data, err := h.FS.Read(name, maxPackageJSON)
	if errors.Is(err, host.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var pkg struct {
		Version string `json:"version"`
	}
	if err := json.Unmarshal(data, &pkg); err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	return orWord(pkg.Version, "unknown version"), nil
}
