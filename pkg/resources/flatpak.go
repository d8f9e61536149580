package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Flatpak is an application or runtime of Flatpak, installed for the whole system. What is installed is read from its
// folders; the program flatpak runs only to change it.
//
//	resources:
//	  - flatpak: org.gimp.GIMP
//	    remote: flathub
type Flatpak struct {
	// Name is the identifier of the application or runtime.
	Name string `vigo:"identity"`

	// Ensure says whether it should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Remote to install from, which must be known to Flatpak.
	Remote string `yaml:"remote"`

	// Branch that should be there, such as stable or 23.08. Without it any will do, and all go when it is absent.
	Branch string `yaml:"branch"`
}

var (
	_ resource.Validator = (*Flatpak)(nil)
	_ resource.Requirer  = (*Flatpak)(nil)
)

// Validate implements [resource.Validator].
func (r *Flatpak) Validate() error {
	switch {
	case !plainWord(r.Name, "."):
		return fmt.Errorf("%q is not the identifier of an application", r.Name)
	case r.Branch != "" && !plainWord(r.Branch, "."):
		return fmt.Errorf("branch: %q is not a branch", r.Branch)
	case r.Remote != "" && !plainWord(r.Remote, "."):
		return fmt.Errorf("remote: %q is not the name of a remote", r.Remote)
	case r.Ensure != "absent" && r.Remote == "":
		return errors.New("flatpak needs the remote to install from")
	}
	return nil
}

// Requires implements [resource.Requirer].
func (r *Flatpak) Requires() []resource.ID { return []resource.ID{{Type: "package", Name: "flatpak"}} }

// Plan implements [resource.Resource].
func (r *Flatpak) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	branches, err := flatpakBranches(h, r.Name)
	if err != nil {
		return p, err
	}
	ref, there := r.Name, len(branches) > 0
	if r.Branch != "" {
		ref, there = r.Name+"//"+r.Branch, slices.Contains(branches, r.Branch)
	}
	flatpak := func(verb string, rest ...string) func(context.Context) error {
		argv := append([]string{"flatpak", verb, "--system", "--noninteractive", "--assumeyes"}, rest...)
		return func(ctx context.Context) error { return runProgram(ctx, h, argv...) }
	}
	switch {
	case r.Ensure == "absent" && there:
		p.Do(flatpak("uninstall", ref), change.Of("ensure", orWord(r.Branch, "present"), change.Absent))
	case r.Ensure != "absent" && !there:
		p.Do(flatpak("install", r.Remote, ref), change.Of("ensure", change.Absent, orWord(r.Branch, "present")))
	}
	return p, nil
}

// flatpakBranches are the branches of an application or runtime that are deployed: KIND/NAME/ARCHITECTURE/BRANCH/active.
func flatpakBranches(h *host.Host, name string) ([]string, error) {
	var branches []string
	for _, kind := range []string{"app", "runtime"} {
		dir := path.Join("/var/lib/flatpak", kind, name)
		archs, err := entries(h, dir)
		if err != nil {
			return nil, err
		}
		for _, arch := range archs {
			if arch == "current" { // a link to one of them
				continue
			}
			names, err := entries(h, path.Join(dir, arch))
			if err != nil {
				return nil, err
			}
			for _, branch := range names {
				is, err := look(h, path.Join(dir, arch, branch, "active"))
				if err != nil {
					return nil, err
				}
				if is != nil {
					branches = append(branches, branch)
				}
			}
		}
	}
	return branches, nil
}
