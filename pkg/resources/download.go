package resources

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/url"
	"regexp"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Download is a file fetched from a URL. Its SHA-256 digest must be given: it decides whether anything is to be done,
// and a download with another digest never takes the place of the file. While the digest is right nothing is fetched.
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

	// SHA256 is the digest of the content: 64 hexadecimal digits in lower case.
	SHA256 string `yaml:"sha256" vigo:"required"`

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
	u, err := url.Parse(d.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("url: want an http or https URL")
	}
	if !downloadDigest.MatchString(d.SHA256) {
		return errors.New("sha256: want 64 hexadecimal digits in lower case")
	}
	if d.MaxSize < 0 {
		return errors.New("max_size: want a number of bytes")
	}
	return checkValidation(d.Validation)
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
	case from != "sha256:"+d.SHA256:
		content := change.Of("content", fmt.Sprintf("%.19s", from), fmt.Sprintf("sha256:%.12s", d.SHA256))
		p.Do(func(ctx context.Context) error { return d.fetch(ctx, h, want) }, append([]change.Change{content}, changes...)...)
	case len(changes) > 0:
		p.Do(func(ctx context.Context) error { return h.FS.SetAttr(ctx, d.Path, want) }, changes...)
	}
	return p, nil
}

// fetch streams the content into place; what has another digest is thrown away before it is seen.
func (d *Download) fetch(ctx context.Context, h *host.Host, attr host.Attr) error {
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := h.Fetch.Fetch(ctx, d.URL, d.Headers, d.MaxSize, w)
		w.CloseWithError(err)
	}()
	defer func() { <-done }()
	defer r.Close() // ends the fetch, if the write ended first
	sum, check := sha256.New(), validation(h, d.Validation)
	return h.FS.Write(ctx, d.Path, io.TeeReader(r, sum), host.WriteOptions{Attr: attr,
		Validate: func(ctx context.Context, candidate string) error {
			if got := fmt.Sprintf("%x", sum.Sum(nil)); got != d.SHA256 {
				return fmt.Errorf("the download has the digest sha256:%s, want sha256:%s", got, d.SHA256)
			}
			if check == nil {
				return nil
			}
			return check(ctx, candidate)
		}})
}
