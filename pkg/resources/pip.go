package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Pip is a Python package in a virtual environment, which is made if it is not there. What is installed is read from the
// environment; pip runs only to change it. The Python of the system itself belongs to its package manager (PEP 668): use
// package for that.
//
//	resources:
//	  - pip: requests
//	    venv: /opt/app/venv
//	    version: 2.31.0
type Pip struct {
	// Name of the resource, and of the Python package if package is not given.
	Name string `vigo:"identity"`

	// Package is the Python package, for a second resource of the same package in another environment.
	Package string `yaml:"package"`

	// Ensure says whether it should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Venv is the directory of the virtual environment, absolute.
	Venv string `yaml:"venv" vigo:"required"`

	// Version is the exact version, written as pip shows it. Without it any version will do.
	Version string `yaml:"version"`

	// Options are given to "pip install", such as --no-deps or --find-links=/srv/wheels. Use the configuration file
	// of pip for passwords: options are seen in the list of processes.
	Options []string `yaml:"options"`
}

var (
	_ resource.Validator = (*Pip)(nil)
	_ resource.Requirer  = (*Pip)(nil)

	pipSeparators = regexp.MustCompile(`[-_.]+`)
)

func (r *Pip) pkg() string { return orWord(r.Package, r.Name) }

// Validate implements [resource.Validator].
func (r *Pip) Validate() error {
	if err := checkPath(r.Venv); err != nil {
		return err
	}
	for _, o := range r.Options {
		if !strings.HasPrefix(o, "-") {
			return fault.WithHint(fmt.Errorf("options: %q is no option", o), "write an option and its value in one word: --index-url=https://…")
		}
		if _, address, ok := strings.Cut(o, "://"); ok && strings.Contains(strings.SplitN(address, "/", 2)[0], "@") {
			return fault.WithHint(errors.New("options: a password in an address would be seen in the list of processes"), "put it in the configuration file of pip")
		}
	}
	return checkAddon(r.pkg(), r.Version, r.Ensure, ".")
}

// Requires implements [resource.Requirer].
func (r *Pip) Requires() []resource.ID {
	return append(above(path.Join(r.Venv, "bin")), resource.ID{Type: "package", Name: "python3"}, resource.ID{Type: "package", Name: "python3-venv"})
}

// Plan implements [resource.Resource].
func (r *Pip) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	has, err := r.installed(h)
	if err != nil {
		return resource.Plan{}, err
	}
	python := path.Join(r.Venv, "bin/python3")
	pip := []string{python, "-m", "pip", "--no-input", "--disable-pip-version-check"}
	wish := r.pkg()
	if r.Version != "" {
		wish += "==" + r.Version
	}
	install := append(append(append([]string{}, pip...), "install"), append(append([]string{}, r.Options...), wish)...)
	return addon{
		Absent: r.Ensure == "absent", Version: r.Version, Has: has,
		Install: func(ctx context.Context, h *host.Host) error {
			is, err := look(h, python)
			if err == nil && is == nil {
				err = runProgram(ctx, h, "python3", "-m", "venv", r.Venv)
			}
			if err != nil {
				return err
			}
			return runProgram(ctx, h, install...)
		},
		Remove: program(host.Command{Argv: append(append([]string{}, pip...), "uninstall", "--yes", r.pkg())}),
	}.plan(h), nil
}

// installed is the version of the package in the environment, by the names of its folders: NAME-VERSION.dist-info.
// https://packaging.python.org/en/latest/specifications/recording-installed-packages/
func (r *Pip) installed(h *host.Host) (string, error) {
	pythons, err := entries(h, path.Join(r.Venv, "lib"))
	if err != nil {
		return "", err
	}
	for _, python := range pythons {
		if !strings.HasPrefix(python, "python") {
			continue
		}
		found, err := entries(h, path.Join(r.Venv, "lib", python, "site-packages"))
		if err != nil {
			return "", err
		}
		for _, entry := range found {
			dist, ok := strings.CutSuffix(entry, ".dist-info")
			at := strings.LastIndexByte(dist, '-')
			if ok && at > 0 && pipName(dist[:at]) == pipName(r.pkg()) {
				return dist[at+1:], nil
			}
		}
	}
	return "", nil
}

// pipName is the normal form of a name (PEP 503).
func pipName(name string) string { return strings.ToLower(pipSeparators.ReplaceAllString(name, "-")) }
