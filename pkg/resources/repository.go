package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Repository is a source of packages for apt: a file in /etc/apt/sources.list.d in the format of sources.list(5),
// deb822 style, with the key its index is signed by beside it in /etc/apt/keyrings. When it changes, the package lists
// are fetched; if that fails, the change is taken back, so that one bad source does not stop all others.
//
//	resources:
//	  - repository: docker
//	    uris: [https://download.docker.com/linux/debian]
//	    suites: [bookworm]
//	    components: [stable]
//	    key_file: docker.asc
type Repository struct {
	// Name of the repository, and of its files.
	Name string `vigo:"identity"`

	// Ensure says whether the repository should be present (the default) or absent.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Enabled can be set to false to keep the files but not use the repository.
	Enabled *bool `yaml:"enabled"`

	// Types of packages: deb (the default), deb-src.
	Types []string `yaml:"types"`

	// URIs of the repository, such as https://deb.debian.org/debian.
	URIs []string `yaml:"uris"`

	// Suites, such as bookworm, or a path that ends in a slash.
	Suites []string `yaml:"suites"`

	// Components, such as main. None for a suite that is a path.
	Components []string `yaml:"components"`

	// Architectures to use; all that the machine has if empty.
	Architectures []string `yaml:"architectures"`

	// Key is the OpenPGP public key the index is signed by, armored.
	Key string `yaml:"key"`

	// KeyFile is the same as a file of the module, armored or binary.
	KeyFile string `yaml:"key_file"`

	// SignedBy is the path of a key that is on the machine already.
	SignedBy string `yaml:"signed_by"`

	key []byte
}

var (
	_ resource.Validator = (*Repository)(nil)
	_ resource.Binder    = (*Repository)(nil)
	_ resource.Requirer  = (*Repository)(nil)
)

const (
	aptSources = "/etc/apt/sources.list.d"
	aptKeys    = "/etc/apt/keyrings"
)

// Validate implements [resource.Validator].
func (r *Repository) Validate() error {
	if err := checkRepositoryName(r.Name); err != nil {
		return err
	}
	if r.Ensure == "absent" {
		return nil
	}
	if len(r.URIs) == 0 || len(r.Suites) == 0 {
		return errors.New("repository needs uris and suites")
	}
	for _, list := range [][]string{r.Types, r.URIs, r.Suites, r.Components, r.Architectures, {r.SignedBy}} {
		for _, v := range list {
			if strings.ContainsAny(v, " \t\n") {
				return fmt.Errorf("%q holds white space", v)
			}
		}
	}
	if err := checkRepositoryURIs("uris", "put it in a file in /etc/apt/auth.conf.d", r.URIs...); err != nil {
		return err
	}
	for _, t := range r.Types {
		if t != "deb" && t != "deb-src" {
			return fmt.Errorf("types: %q is neither deb nor deb-src", t)
		}
	}
	return checkRepositoryKey(r.Key, r.KeyFile, r.SignedBy)
}

// Bind implements [resource.Binder].
func (r *Repository) Bind(c resource.Content) (err error) {
	r.key, err = repositoryKey(c, r.Key, r.KeyFile)
	return err
}

// Requires implements [resource.Requirer].
func (r *Repository) Requires() []resource.ID {
	return repositoryNeeds(r.SignedBy)
}

func (r *Repository) sourcesPath() string { return path.Join(aptSources, r.Name+".sources") }

// keyPath is where the key goes: apt tells armored from binary keys by the suffix.
func (r *Repository) keyPath() string {
	if strings.Contains(string(r.key), armor) {
		return path.Join(aptKeys, r.Name+".asc")
	}
	return path.Join(aptKeys, r.Name+".gpg")
}

// sources is the content of the file for apt.
func (r *Repository) sources() string {
	var b strings.Builder
	b.WriteString("# Kept by Vigo; changes are undone.\n")
	field := func(name string, values ...string) {
		if text := strings.Join(values, " "); text != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, text)
		}
	}
	if r.Enabled != nil && !*r.Enabled {
		field("Enabled", "no")
	}
	types := r.Types
	if len(types) == 0 {
		types = []string{"deb"}
	}
	field("Types", types...)
	field("URIs", r.URIs...)
	field("Suites", r.Suites...)
	field("Components", r.Components...)
	field("Architectures", r.Architectures...)
	signed := r.SignedBy
	if r.key != nil {
		signed = r.keyPath()
	}
	field("Signed-By", signed)
	return b.String()
}

// Plan implements [resource.Resource].
func (r *Repository) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	wanted := map[string][]byte{}
	if r.Ensure != "absent" {
		wanted[r.sourcesPath()] = []byte(r.sources())
		if r.key != nil {
			wanted[r.keyPath()] = r.key
		}
	}
	return planRepository(h, wanted, []repositoryFile{
		{"key", path.Join(aptKeys, r.Name+".asc")}, {"key", path.Join(aptKeys, r.Name+".gpg")}, {"sources", r.sourcesPath()},
	}, nil)
}
