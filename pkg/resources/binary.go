package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Binary is a program that is fetched as one file from a URL, as a download is: its SHA-256 digest decides whether anything
// is to be done, and content with another digest never takes its place. It belongs to root and can be executed.
//
//	resources:
//	  - binary: /usr/local/bin/kubectl
//	    version: 1.29.3
//	    url: https://dl.k8s.io/release/v{version}/bin/linux/amd64/kubectl
//	    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	    links: [/usr/local/bin/k]
type Binary struct {
	// Path of the program, absolute.
	Path string `vigo:"identity"`

	// Ensure says whether the program, and its links, should be there.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// URL to fetch from, http or https; {version} in it stands for the version.
	URL string `yaml:"url"`

	// Version is put into the URL. A new one needs a new digest.
	Version string `yaml:"version"`

	// SHA256 is the digest of the content: 64 hexadecimal digits in lower case.
	SHA256 string `yaml:"sha256"`

	// Headers are sent with the request, such as Authorization.
	Headers map[string]string `yaml:"headers" vigo:"secret"`

	// MaxSize is the most bytes to fetch; 1 GiB if it is not given.
	MaxSize int64 `yaml:"max_size"`

	// Mode as a quoted octal string; "0755" if it is not given.
	Mode *resource.Mode `yaml:"mode"`

	// Links are paths of symbolic links to the program.
	Links []string `yaml:"links"`

	// Validation is a command that checks the program before it takes the place of the old one: {} stands for its
	// path.
	Validation resource.Argv `yaml:"validate"`
}

var (
	_ resource.Validator = (*Binary)(nil)
	_ resource.Requirer  = (*Binary)(nil)
)

func (b *Binary) download() *Download {
	mode := b.Mode
	if mode == nil {
		mode = &resource.Mode{Perm: 0o755}
	}
	return &Download{Path: b.Path, URL: strings.ReplaceAll(b.URL, "{version}", b.Version), SHA256: b.SHA256, Headers: b.Headers,
		MaxSize: b.MaxSize, Mode: mode, Owner: "0", Group: "0", Validation: b.Validation}
}

// Validate implements [resource.Validator].
func (b *Binary) Validate() error {
	for _, link := range b.Links {
		if err := checkPath(link); err != nil {
			return fmt.Errorf("links: %w", err)
		}
		if link == b.Path {
			return errors.New("links: the program cannot be a link to itself")
		}
	}
	if b.Ensure == "absent" {
		return checkPath(b.Path)
	}
	if strings.Contains(b.URL, "{version}") != (b.Version != "") {
		return fault.WithHint(errors.New("version and {version} in the url belong together"), "give both, or none")
	}
	if b.Version != "" && !plainWord(b.Version, ".+") {
		return fmt.Errorf("%q is not a version", b.Version)
	}
	if b.Mode != nil && b.Mode.Perm&0o111 == 0 {
		return errors.New("mode: nobody could execute it")
	}
	if b.SHA256 == "" {
		return errors.New(`needs the key "sha256"`)
	}
	return b.download().Validate()
}

// Requires implements [resource.Requirer].
func (b *Binary) Requires() []resource.ID {
	ids := b.download().Requires()
	for _, link := range b.Links {
		ids = append(ids, above(link)...)
	}
	return ids
}

// Plan implements [resource.Resource]. A link that points elsewhere is somebody else's: it is not removed.
func (b *Binary) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	links := func() error {
		for _, link := range b.Links {
			s := &Symlink{Path: link, Target: b.Path}
			if b.Ensure == "absent" {
				is, err := look(h, link)
				if err != nil {
					return err
				}
				if is == nil || is.Kind != host.Symlink || is.Target != b.Path {
					continue
				}
				s = &Symlink{Path: link, Ensure: "absent"}
			}
			plan, err := s.Plan(ctx, h)
			if err != nil {
				return err
			}
			p.Include(link, plan)
		}
		return nil
	}
	if b.Ensure == "absent" { // the links first: none is left hanging
		if err := links(); err != nil {
			return p, err
		}
		file, err := gone(b.Path).Plan(ctx, h)
		p.Include("", file)
		return p, err
	}
	file, err := b.download().Plan(ctx, h)
	if err != nil {
		return p, err
	}
	p.Include("", file)
	return p, links()
}
