package resources

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Download is a file fetched from a URL. Its SHA-256 digest must be given: it decides whether anything is to be done,
// and a download with another digest never takes the place of the file. While the digest is right nothing is fetched.
//
// What there was of a download that broke off is kept beside the file, as .NAME.vigo-part, and the next one goes on behind it,
// also from a mirror.
//
//	resources:
//	  - download: /opt/tool/tool
//	    url: https://downloads.example.com/tool-1.4.2
//	    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	    mode: "0755"
type Download struct {
	// Path of the file, absolute.
	Path string `vigo:"identity"`

	// URL to fetch from, http or https.
	URL string `yaml:"url" vigo:"required"`

	// Mirrors are URLs of the same content, asked in this order when url fails or gives something else. They get no headers.
	Mirrors []string `yaml:"mirrors"`

	// SHA256 is the digest of the content: 64 hexadecimal digits in lower case.
	SHA256 string `yaml:"sha256"`

	// SHA256Sums is the https URL of a file of digests, as sha256sum(1) writes it, in place of sha256: the one beside the
	// last part of url holds, or the only one there. It is fetched in every run, which fails if it cannot be; what is
	// installed changes whenever the server says so. It gets the headers if it is on the same server as url.
	SHA256Sums string `yaml:"sha256sums"`

	// Headers are sent with the request, such as Authorization.
	Headers map[string]string `yaml:"headers" vigo:"secret"`

	// MaxSize is the most bytes to fetch; 1 GiB if it is not given.
	MaxSize int64 `yaml:"max_size"`

	// Mode of the file, as a quoted octal string; a new file without one gets "0644".
	Mode *resource.Mode `yaml:"mode"`

	// Owner of the file: the name of a user, or a number.
	Owner string `yaml:"owner"`

	// Group of the file: the name of a group, or a number.
	Group string `yaml:"group"`

	// Validation is a command that checks the download before it takes the place of the old file: {} stands for its
	// path.
	Validation resource.Argv `yaml:"validate"`
}

var (
	_ resource.Validator = (*Download)(nil)
	_ resource.Requirer  = (*Download)(nil)

	downloadDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Validate implements [resource.Validator].
func (d *Download) Validate() error {
	if err := checkPath(d.Path); err != nil {
		return err
	}
	if !isWeb(d.URL) {
		return errors.New("url: want an http or https URL")
	}
	for _, m := range d.Mirrors {
		if !isWeb(m) {
			return fmt.Errorf("mirrors: %q: want an http or https URL", m)
		}
	}
	switch {
	case d.SHA256 == "" && d.SHA256Sums == "":
		return errors.New(`needs the key "sha256" or "sha256sums"`)
	case d.SHA256 != "" && d.SHA256Sums != "":
		return errors.New("sha256 and sha256sums exclude each other")
	case d.SHA256 != "" && !downloadDigest.MatchString(d.SHA256):
		return errors.New("sha256: want 64 hexadecimal digits in lower case")
	case d.SHA256Sums != "" && (!isWeb(d.SHA256Sums) || !strings.HasPrefix(d.SHA256Sums, "https:")):
		return errors.New("sha256sums: want an https URL: whoever can change the digests chooses the content")
	case d.MaxSize < 0:
		return errors.New("max_size: want a number of bytes")
	}
	return checkValidation(d.Validation)
}

func isWeb(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
}

// Requires implements [resource.Requirer].
func (d *Download) Requires() []resource.ID { return d.attributes().requires(d.Path) }

func (d *Download) attributes() attributes { return attributes{d.Mode, d.Owner, d.Group} }

// Plan implements [resource.Resource].
func (d *Download) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	is, err := look(h, d.Path)
	if err != nil {
		return p, err
	}
	if is != nil && (is.Kind == host.Dir || is.Kind == host.Other) {
		return p, fmt.Errorf("%s is a %s, not a file", d.Path, is.Kind)
	}
	want, err := d.attributes().resolve(ctx, h)
	if err != nil {
		return p, err
	}
	digest, err := d.digest(ctx, h)
	if err != nil {
		return p, err
	}
	from, changes := change.Absent, d.attributes().created()
	if is != nil && is.Kind == host.File {
		if from, err = h.FS.Digest(d.Path); err != nil {
			return p, fmt.Errorf("reading %s: %w", d.Path, err)
		}
		changes = d.attributes().changes(ctx, h, *is, want)
	} else {
		want = defaultMode(want, 0o644)
	}
	switch {
	case from != "sha256:"+digest:
		content := change.Of("content", fmt.Sprintf("%.19s", from), fmt.Sprintf("sha256:%.12s", digest))
		p.Do(func(ctx context.Context) error { return d.fetch(ctx, h, digest, want) }, append([]change.Change{content}, changes...)...)
	case len(changes) > 0:
		p.Do(func(ctx context.Context) error { return h.FS.SetAttr(ctx, d.Path, want) }, changes...)
	}
	return p, nil
}
