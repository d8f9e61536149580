package resources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Integrity is a golden manifest: what certain files, the files of packages, and the programs that run must be. It repairs
// nothing, as it does not have their content: a file that is another one, has another mode or owner, or is missing is an error
// of the resource, which names each.
//
// Files of packages are held against the lists of dpkg, as dpkg --verify does: each of them is read in every run. Programs that
// run are read through the kernel, so also one whose file was replaced after it had started is seen. No child process is started.
//
//	resources:
//	  - integrity: login programs
//	    files:
//	      - path: /usr/bin/su
//	        digest: sha256:6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b
//	        mode: "4755"
//	        owner: root
//	  - integrity: remote access
//	    packages: [openssh-server, libpam-modules]
//	    no_deleted: true
type Integrity struct {
	// Name of the manifest, for people.
	Name string `vigo:"identity"`

	// Files of the manifest.
	Files []GoldenFile `yaml:"files"`

	// Packages of Debian whose files must be as they came, but for configuration files. Documentation may be missing.
	Packages []string `yaml:"packages"`

	// Executables are programs that, where they run, must be these.
	Executables []GoldenExecutable `yaml:"executables"`

	// OnlyThese means that no other program than those of executables may run.
	OnlyThese bool `yaml:"only_these"`

	// NoDeleted means that no program may run whose file has been deleted or replaced since it was started.
	NoDeleted bool `yaml:"no_deleted"`
}

// GoldenFile is one file of a manifest. What is not given is not looked at.
type GoldenFile struct {
	// Path of the file, absolute. A symbolic link is not followed: it is no file.
	Path string `yaml:"path" vigo:"required"`

	// Digest of its content, as sha256: and 64 hexadecimal digits.
	Digest string `yaml:"digest"`

	// Mode of the file, as a quoted octal string.
	Mode *resource.Mode `yaml:"mode"`

	// Owner of the file: the name of a user, or a number.
	Owner string `yaml:"owner"`

	// Group of the file: the name of a group, or a number.
	Group string `yaml:"group"`
}

var (
	_ resource.Validator = (*Integrity)(nil)

	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// maxFindings is how many files an error names.
const maxFindings = 20

// Validate implements [resource.Validator].
func (m *Integrity) Validate() error {
	switch {
	case len(m.Files)+len(m.Packages)+len(m.Executables) == 0 && !m.NoDeleted:
		return errors.New(`needs one of the keys "files", "packages", "executables" and "no_deleted"`)
	case m.OnlyThese && len(m.Executables) == 0:
		return errors.New("only_these without executables lets nothing run")
	}
	for _, p := range m.Packages {
		if !plainWord(p, ".+:") {
			return fmt.Errorf("packages: %q is not the name of a package", p)
		}
	}
	for _, e := range m.Executables {
		if err := checkPath(e.Path); err != nil {
			return err
		}
		for _, d := range e.Digests {
			if !digestForm.MatchString(d) {
				return fault.WithHint(fmt.Errorf("%s: %q is no digest", e.Path, d), "write sha256: and what sha256sum prints")
			}
		}
	}
	for _, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if f.Digest != "" && !digestForm.MatchString(f.Digest) {
			return fault.WithHint(fmt.Errorf("%s: %q is no digest", f.Path, f.Digest), "write sha256: and what sha256sum prints")
		}
	}
	return nil
}

// Plan implements [resource.Resource]. There is nothing that it could do: it looks.
func (m *Integrity) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var found []string
	for _, f := range m.Files {
		wrong, err := f.wrong(ctx, h)
		if err != nil {
			return resource.Plan{}, err
		}
		if len(wrong) > 0 {
			found = append(found, f.Path+" "+strings.Join(wrong, " and "))
		}
	}
	packages, ofPackages, err := m.packagesFound(ctx, h)
	if err != nil {
		return resource.Plan{}, err
	}
	running, processes, err := m.runningFound(ctx, h)
	if err != nil {
		return resource.Plan{}, err
	}
	found = append(append(found, packages...), running...)
	if len(found) == 0 {
		return resource.Plan{}, nil
	}
	said := strings.Join(found[:min(len(found), maxFindings)], "; ")
	what := "files"
	if processes > 0 {
		what = "files and processes"
	}
	err = fmt.Errorf("%d of %d %s are not as in the manifest: %s", len(found), len(m.Files)+ofPackages+processes, what, said)
	return resource.Plan{}, fault.WithHint(err, "find out who changed them; if it was an update, change the manifest")
}

// wrong says what of a file is not as it should be.
func (f GoldenFile) wrong(ctx context.Context, h *host.Host) ([]string, error) {
	is, err := look(h, f.Path)
	switch {
	case err != nil:
		return nil, err
	case is == nil:
		return []string{"is missing"}, nil
	case is.Kind != host.File:
		return []string{fmt.Sprintf("is a %s", is.Kind)}, nil
	}
	var wrong []string
	if f.Digest != "" {
		digest, err := h.FS.Digest(f.Path)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", f.Path, err)
		}
		if digest != f.Digest {
			wrong = append(wrong, "has the digest "+digest)
		}
	}
	a := attributes{f.Mode, f.Owner, f.Group}
	want, err := a.resolve(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, err)
	}
	for _, c := range a.changes(ctx, h, *is, want) {
		wrong = append(wrong, fmt.Sprintf("has the %s %s, not %s", c.Field, c.From, c.To))
	}
	return wrong, nil
}
