package resources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Archive is what is packed in an archive, unpacked into a directory. The archive comes from a URL, from the module or from
// the machine; it is a tar file, plain or compressed by gzip, bzip2, xz or zstd, or a zip file.
//
// What was unpacked is noted in the file .vigo-archive of the directory, so that files that were changed or removed by hand
// are put back, an archive with another digest removes what only the old one had, and nothing is fetched while all is right.
// Files that are not of the archive are left alone.
//
// Nothing is written outside of the directory: a name or link that leads out, a device, or a file below a link is an error, and
// what is over the limits too. Files belong to who runs the agent, or to owner and group, never to whom the archive names;
// they lose setuid, setgid and what lets others write.
//
//	resources:
//	  - archive: /opt/node
//	    url: https://downloads.example.com/node-v22.1.0-linux-x64.tar.xz
//	    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
//	    strip: 1
type Archive struct {
	// Path of the directory, absolute. It is made if it is missing.
	Path string `vigo:"identity"`

	// URL to fetch the archive from, http or https. It needs sha256.
	URL string `yaml:"url"`

	// Source is a file below files/ of the module.
	Source string `yaml:"source"`

	// File is the path of an archive on the machine, absolute.
	File string `yaml:"file"`

	// SHA256 is the digest of the archive: 64 hexadecimal digits in lower case.
	SHA256 string `yaml:"sha256"`

	// Format of the archive. If it is not given, its name says it.
	Format string `yaml:"format" vigo:"enum=tar|tar.gz|tar.bz2|tar.xz|tar.zst|zip"`

	// Strip is how many leading folders are taken off the names in the archive; what has no more is left out.
	Strip int `yaml:"strip"`

	// Creates is a path; once it is there, nothing is looked at or unpacked any more. Without it what was unpacked is
	// compared in each run.
	Creates string `yaml:"creates"`

	// Owner of what is unpacked: the name of a user, or a number.
	Owner string `yaml:"owner"`

	// Group of what is unpacked: the name of a group, or a number.
	Group string `yaml:"group"`

	// Headers are sent with the request, such as Authorization.
	Headers map[string]string `yaml:"headers" vigo:"secret"`

	// MaxSize is the most bytes to fetch; 1 GiB if it is not given.
	MaxSize int64 `yaml:"max_size"`

	// MaxUnpacked is the most bytes to unpack; 8 GiB if it is not given.
	MaxUnpacked int64 `yaml:"max_unpacked"`

	// MaxFiles is the most files and folders to unpack; 200000 if it is not given.
	MaxFiles int `yaml:"max_files"`

	// Ensure says whether the content should be there. Absent removes what was unpacked, and the directory if it is empty
	// then.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	bound *resource.Blob
}

var (
	_ resource.Validator = (*Archive)(nil)
	_ resource.Requirer  = (*Archive)(nil)
	_ resource.Binder    = (*Archive)(nil)
)

// Validate implements [resource.Validator].
func (a *Archive) Validate() error {
	if err := checkPath(a.Path); err != nil {
		return err
	}
	given := 0
	for _, s := range []string{a.URL, a.Source, a.File} {
		if s != "" {
			given++
		}
	}
	u, err := url.Parse(a.URL)
	switch {
	case a.Ensure == "absent":
		return nil
	case given != 1:
		return errors.New("needs one of url, source and file")
	case a.URL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https"):
		return errors.New("url: want an http or https URL")
	case a.URL != "" && a.SHA256 == "":
		return errors.New("needs the key \"sha256\" with url")
	case a.SHA256 != "" && !downloadDigest.MatchString(a.SHA256):
		return errors.New("sha256: want 64 hexadecimal digits in lower case")
	case a.format() == "":
		return fmt.Errorf("format: the name %q does not say it", path.Base(a.name()))
	case a.Strip < 0 || a.MaxSize < 0 || a.MaxUnpacked < 0 || a.MaxFiles < 0:
		return errors.New("strip and the limits are not below 0")
	}
	for _, name := range []string{a.File, a.Creates} {
		if name != "" {
			err = errors.Join(err, checkPath(name))
		}
	}
	return err
}

// name is what the archive is called.
func (a *Archive) name() string {
	if u, err := url.Parse(a.URL); err == nil && a.URL != "" {
		return u.Path
	}
	return a.Source + a.File
}

func (a *Archive) format() string {
	if a.Format != "" {
		return a.Format
	}
	return archiveFormat(a.name())
}

// Bind implements [resource.Binder].
func (a *Archive) Bind(c resource.Content) error {
	if a.Source == "" {
		return nil
	}
	b, err := c.File(a.Source)
	if err != nil {
		return fmt.Errorf("source: %w", err)
	}
	a.bound = &b
	if a.SHA256 != "" && b.Digest != "sha256:"+a.SHA256 {
		return fmt.Errorf("source: the file has the digest %s, want sha256:%s", b.Digest, a.SHA256)
	}
	return nil
}

// Requires implements [resource.Requirer].
func (a *Archive) Requires() []resource.ID {
	ids := append(attributes{Owner: a.Owner, Group: a.Group}.requires(a.Path), resource.ID{Type: "directory", Name: a.Path})
	if a.File != "" {
		ids = append(ids, resource.ID{Type: "download", Name: a.File}, resource.ID{Type: "file", Name: a.File})
	}
	return ids
}

// Plan implements [resource.Resource].
func (a *Archive) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	stamp, err := readStamp(h, a.Path)
	if err != nil {
		return p, err
	}
	if a.Ensure == "absent" {
		if stamp != nil {
			p.Do(func(ctx context.Context) error { return stamp.remove(ctx, h, a.Path, nil) },
				change.Of("ensure", fmt.Sprintf("%.19s", stamp.Digest), change.Absent))
		}
		return p, nil
	}
	if a.Creates != "" {
		if is, err := look(h, a.Creates); err != nil || is != nil {
			return p, err
		}
	}
	want, err := attributes{Owner: a.Owner, Group: a.Group}.resolve(ctx, h)
	if err != nil {
		return p, err
	}
	digest, err := a.digest(h)
	if err != nil {
		return p, err
	}
	var changes []change.Change
	switch {
	case stamp == nil:
		changes = append(changes, change.Of("content", change.Absent, fmt.Sprintf("%.19s", digest)))
	case stamp.Digest != digest || stamp.Strip != a.Strip:
		changes = append(changes, change.Of("content", fmt.Sprintf("%.19s, strip %d", stamp.Digest, stamp.Strip),
			fmt.Sprintf("%.19s, strip %d", digest, a.Strip)))
	default:
		if changes, err = stamp.drift(h, a.Path, want); err != nil {
			return p, err
		}
		if a.Creates != "" {
			changes = append(changes, change.Of("creates", change.Absent, a.Creates))
		}
	}
	if len(changes) > 0 {
		p.Do(func(ctx context.Context) error { return a.unpack(ctx, h, stamp, digest, want) }, changes...)
	}
	return p, nil
}

// digest returns that of the archive.
func (a *Archive) digest(h *host.Host) (string, error) {
	switch {
	case a.Source != "" && a.bound == nil:
		return "", errors.New("the source was not taken from the module") // Bind was not called
	case a.bound != nil:
		return a.bound.Digest, nil
	case a.SHA256 != "":
		return "sha256:" + a.SHA256, nil
	}
	digest, err := h.FS.Digest(a.File)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", a.File, err)
	}
	return digest, nil
}

// open returns the archive as a file of the machine; what is fetched is in the directory until done is called.
func (a *Archive) open(ctx context.Context, h *host.Host) (r io.ReadCloser, done func(), err error) {
	if a.File != "" {
		r, err := h.FS.Open(a.File)
		return r, func() {}, err
	}
	part := path.Join(a.Path, ".vigo-archive.part")
	done = func() { _ = h.FS.Remove(context.WithoutCancel(ctx), part, false) }
	if a.bound != nil {
		blob, err := a.bound.Open()
		if err != nil {
			return nil, done, err
		}
		err = errors.Join(h.FS.Write(ctx, part, blob, host.WriteOptions{}), blob.Close())
		if err != nil {
			return nil, done, err
		}
	} else {
		d := Download{Path: part, URL: a.URL, SHA256: a.SHA256, Headers: a.Headers, MaxSize: a.MaxSize}
		if err := d.fetch(ctx, h, d.SHA256, defaultMode(host.Attr{}, 0o600)); err != nil {
			return nil, done, err
		}
	}
	r, err = h.FS.Open(part)
	return r, done, err
}

// unpack puts the content into place, then removes what only the old archive had, and notes what is there.
func (a *Archive) unpack(ctx context.Context, h *host.Host, old *stamp, digest string, attr host.Attr) (err error) {
	if err := h.FS.MakeDir(ctx, a.Path, attr); err != nil {
		return err
	}
	r, done, err := a.open(ctx, h)
	defer done()
	if err != nil {
		return fmt.Errorf("getting the archive: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if a.File != "" && a.SHA256 != "" {
		if got, err := h.FS.Digest(a.File); err != nil || got != digest {
			return errors.Join(err, fmt.Errorf("%s has the digest %s, want %s", a.File, got, digest))
		}
	}
	u := &unpacking{h: h, dir: a.Path, strip: a.Strip, attr: attr, bytes: a.MaxUnpacked, files: a.MaxFiles,
		stamp: &stamp{Digest: digest, Strip: a.Strip}, old: old, dirs: map[string]bool{}, at: map[string]int{}}
	if u.bytes == 0 {
		u.bytes = 8 << 30
	}
	if u.files == 0 {
		u.files = maxTree
	}
	if err := u.all(ctx, r, a.format()); err != nil {
		return fmt.Errorf("unpacking into %s: %w", a.Path, err)
	}
	if old != nil {
		if err := old.remove(ctx, h, a.Path, u.stamp); err != nil {
			return err
		}
	}
	return u.stamp.write(ctx, h, a.Path)
}
