package resources

import (
	"context"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Gem is a Ruby gem. What is installed is read from the folders of specifications that distributions use, or from dir;
// gem runs only to change it. Other versions of the gem are left alone, unless it should be absent.
//
//	resources:
//	  - gem: bundler
//	    version: 2.4.22
type Gem struct {
	// Name of the gem.
	Name string `vigo:"identity"`

	// Ensure says whether it should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Version is the exact version. Without it any version will do.
	Version string `yaml:"version"`

	// Dir is the directory to install into, absolute; the one that Ruby uses by itself if it is not given.
	Dir string `yaml:"dir"`
}

var (
	_ resource.Validator = (*Gem)(nil)
	_ resource.Requirer  = (*Gem)(nil)
)

// Validate implements [resource.Validator].
func (r *Gem) Validate() error {
	if r.Dir != "" {
		if err := checkPath(r.Dir); err != nil {
			return err
		}
	}
	return checkAddon(r.Name, r.Version, r.Ensure, ".")
}

// Requires implements [resource.Requirer].
func (r *Gem) Requires() []resource.ID {
	return []resource.ID{{Type: "package", Name: "ruby"}, {Type: "package", Name: "rubygems"}}
}

// Plan implements [resource.Resource].
func (r *Gem) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	versions, err := r.installed(h)
	if err != nil {
		return resource.Plan{}, err
	}
	has := strings.Join(versions, ", ")
	if slices.Contains(versions, r.Version) {
		has = r.Version
	}
	install, remove := []string{"gem", "install", "--no-document"}, []string{"gem", "uninstall", "--all", "--executables", "--ignore-dependencies"}
	if r.Version != "" {
		install = append(install, "--version", r.Version)
	}
	if r.Dir != "" {
		install, remove = append(install, "--install-dir", r.Dir, "--bindir", path.Join(r.Dir, "bin")), append(remove, "--install-dir", r.Dir)
	}
	return addon{
		Absent: r.Ensure == "absent", Version: r.Version, Has: has,
		Install: program(host.Command{Argv: append(install, r.Name)}),
		Remove:  program(host.Command{Argv: append(remove, r.Name)}),
	}.plan(h), nil
}

// installed are the versions of the gem that have a specification: NAME-VERSION.gemspec, or NAME-VERSION-PLATFORM.gemspec.
func (r *Gem) installed(h *host.Host) ([]string, error) {
	dirs := []string{r.Dir}
	if r.Dir == "" {
		dirs = []string{"/usr/share/gems", "/usr/local/share/gems", "/usr/share/rubygems-integration/all"}
		for _, parent := range []string{"/var/lib/gems", "/usr/lib/ruby/gems", "/usr/local/lib/ruby/gems", "/usr/lib64/ruby/gems"} {
			abis, err := entries(h, parent)
			if err != nil {
				return nil, err
			}
			for _, abi := range abis {
				dirs = append(dirs, path.Join(parent, abi))
			}
		}
	}
	var versions []string
	for _, dir := range dirs {
		specs, err := entries(h, path.Join(dir, "specifications"))
		if err != nil {
			return nil, err
		}
		for _, spec := range specs {
			rest, ok := strings.CutPrefix(strings.TrimSuffix(spec, ".gemspec"), r.Name+"-")
			version, _, _ := strings.Cut(rest, "-")
			if ok && rest+".gemspec" == strings.TrimPrefix(spec, r.Name+"-") && startsWithDigit(version) && !slices.Contains(versions, version) {
				versions = append(versions, version)
			}
		}
	}
	slices.Sort(versions)
	return versions, nil
}
