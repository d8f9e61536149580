package resources

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// File is a regular file. Its content comes from the policy (content), from a template or a file of the module
// (template, source), or is left alone, and then only mode and owner are managed and a missing file is made empty.
//
// A file is written beside the old one, checked, synced and renamed, so a reader sees the old or the new content and
// never a part. A symbolic link at the path is replaced, never followed. A directory in its place is an error.
//
//	resources:
//	  - file: /etc/sudoers.d/ops
//	    content: |
//	      %ops ALL=(ALL) NOPASSWD: /usr/bin/systemctl
//	    mode: "0440"
//	    validate: visudo -cf {}
type File struct {
	// Path of the file, absolute.
	Path string `vigo:"identity"`

	// Ensure says whether the file should be there. Absent removes a file or link, never a directory.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Content is the whole content, as text.
	Content *string `yaml:"content"`

	// Template is a file below templates/ of the module, whose rendering for the node is the content.
	Template string `yaml:"template"`

	// Source is a file below files/ of the module that is the content, byte for byte.
	Source string `yaml:"source"`

	// Mode of the file, as a quoted octal string. A new file without one gets "0644", or "0755" if its source may be
	// executed; that of a file that is there is left alone.
	Mode *resource.Mode `yaml:"mode"`

	// Owner of the file: the name of a user, or a number.
	Owner string `yaml:"owner"`

	// Group of the file: the name of a group, or a number.
	Group string `yaml:"group"`

	// Validation is a command that checks the new content before it takes the place of the old: {} stands for the
	// path of the candidate. If it ends with another status than 0, the file stays as it was.
	Validation resource.Argv `yaml:"validate"`

	// Backup is the path that the old file is copied to before it is replaced. It keeps one generation.
	Backup string `yaml:"backup"`

	// Backups is how many generations of the old file are kept beside it, as NAME.~1~, NAME.~2~ and so on, the highest the
	// newest. Directories of configuration pass over such names, and a purge leaves them alone.
	Backups int `yaml:"backups"`

	// Replace, when false, means that the content of a file that is there is left alone: it is only written when the
	// file is missing.
	Replace *bool `yaml:"replace"`

	// LineEnds is how the lines of content or template end, whatever they end in there.
	LineEnds string `yaml:"line_ends" vigo:"enum=lf|crlf"`

	// Immutable sets or takes away the flag of the file system by which nobody can change, rename or remove the file, as
	// chattr +i does. It is taken away for as long as the file is written.
	Immutable *bool `yaml:"immutable"`

	check  func(context.Context, string) error // of a type made of a file: validates a candidate, in place of the command
	hide   func([]byte) []byte                 // of a type made of a file: what of the content may be shown
	owned  bool                                // of a type made of a file: makes missing parents
	bound  *resource.Blob                      // of source
	text   []byte                              // of template
	digest string                              // of content or template, once bound
	fresh  fs.FileMode                         // of a file that is made, if it holds secrets and Mode is not given
}

var (
	_ resource.Validator   = (*File)(nil)
	_ resource.Requirer    = (*File)(nil)
	_ resource.Binder      = (*File)(nil)
	_ resource.Foreseeable = (*File)(nil)
)

// Validate implements [resource.Validator].
func (f *File) Validate() error {
	if err := checkPath(f.Path); err != nil {
		return err
	}
	given := 0
	for _, is := range []bool{f.Content != nil, f.Template != "", f.Source != ""} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("content, template and source exclude each other")
	case f.Ensure == "absent" && given > 0:
		return errors.New("a file that is to be absent has no content")
	case f.Ensure == "absent" && f.Immutable != nil && *f.Immutable:
		return errors.New("a file that is to be absent is not immutable")
	case f.LineEnds != "" && f.Content == nil && f.Template == "":
		return errors.New("line_ends means nothing without content or template")
	case f.Backups < 0 || f.Backups > maxBackups:
		return fmt.Errorf("backups: want 1 to %d generations", maxBackups)
	case f.Backup != "" && f.Backups > 0:
		return errors.New("backup and backups exclude each other")
	case given == 0 && f.Backups > 0:
		return errors.New("backups means nothing without content, template or source")
	case given == 0 && f.Replace != nil:
		return errors.New("replace means nothing without content, template or source")
	}
	if f.Backup != "" {
		if err := checkPath(f.Backup); err != nil {
			return fmt.Errorf("backup: %w", err)
		}
	}
	return checkValidation(f.Validation)
}

// Foreseeable implements [resource.Foreseeable].
func (f *File) Foreseeable() bool { return true }

// Requires implements [resource.Requirer].
func (f *File) Requires() []resource.ID {
	return f.AppendRequires(nil)
}

// AppendRequires implements [resource.AppendRequirer].
func (f *File) AppendRequires(ids []resource.ID) []resource.ID {
	if f.Ensure == "absent" {
		return ids
	}
	return f.attributes().appendRequires(ids, f.Path)
}

// Bind implements [resource.Binder].
func (f *File) Bind(c resource.Content) error {
	switch {
	case f.Source != "":
		b, err := c.File(f.Source)
		if err != nil {
			return fmt.Errorf("source: %w", err)
		}
		f.bound = &b
	case f.Template != "":
		text, err := c.Template(f.Template)
		if err != nil {
			return fmt.Errorf("template: %w", err)
		}
		f.text = f.ended(text)
		f.digest = digestOf(f.text)
	case f.Content != nil:
		f.digest = digestOf(f.ended([]byte(*f.Content)))
	}
	return nil
}

func (f *File) attributes() attributes { return attributes{f.Mode, f.Owner, f.Group} }

// wanted returns the content as a blob: nil if it is left alone.
func (f *File) wanted() *resource.Blob {
	text := f.text
	switch {
	case f.Source != "":
		return f.bound
	case f.Content != nil && f.LineEnds == "" && f.digest != "": // most files: nothing of it is copied to compare it
		return &resource.Blob{Size: int64(len(*f.Content)), Digest: f.digest, Open: func() (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(*f.Content)), nil
		}}
	case f.Content != nil:
		text = f.ended([]byte(*f.Content))
	case f.Template == "":
		return nil
	}
	digest := f.digest
	if digest == "" {
		digest = digestOf(text)
	}
	return &resource.Blob{Size: int64(len(text)), Digest: digest, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(text)), nil
	}}
}

// Text returns the content the file should have, and false when it is left alone or is not text.
func (f *File) Text() (string, bool) {
	b := f.wanted()
	if b == nil {
		return "", false
	}
	rc, err := b.Open()
	if err != nil {
		return "", false
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	return string(data), err == nil && utf8.Valid(data)
}

// Plan implements [resource.Resource].
func (f *File) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	p, err := f.plan(ctx, h)
	if err != nil || f.Immutable == nil {
		return p, err
	}
	return f.thawing(h, p)
}

// plan is Plan without the flag.
func (f *File) plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	is, err := look(h, f.Path)
	if err != nil {
		return p, err
	}
	if is != nil && (is.Kind == host.Dir || is.Kind == host.Other) {
		return p, fault.WithHint(fmt.Errorf("%s is a %s, not a file", f.Path, is.Kind), "move it away by hand, or name another path")
	}
	if f.Ensure == "absent" {
		if is != nil {
			p.Do(func(ctx context.Context) error { return h.FS.Remove(ctx, f.Path, false) },
				change.Of("ensure", is.Kind, change.Absent))
		}
		return p, nil
	}
	want, err := f.attributes().resolve(ctx, h)
	if err != nil {
		return p, err
	}
	if (f.Source != "" && f.bound == nil) || (f.Template != "" && f.text == nil) {
		return p, errors.New("the content was not taken from the module") // Bind was not called
	}
	blob := f.wanted()
	switch {
	case is == nil:
		err = f.planNew(h, &p, blob, want)
	case is.Kind == host.Symlink && blob == nil:
		err = fmt.Errorf("%s is a symbolic link to %s, and no content is given to replace it with", f.Path, is.Target)
	case is.Kind == host.Symlink:
		changes := append([]change.Change{change.Of("ensure", "symlink to "+is.Target, "file")}, f.attributes().created()...)
		p.Do(f.write(h, blob, defaultMode(want, f.newMode(blob))), changes...)
	default:
		err = f.planOld(ctx, h, &p, *is, blob, want)
	}
	return p, err
}

// planNew makes a file that is missing.
func (f *File) planNew(h *host.Host, p *resource.Plan, blob *resource.Blob, want host.Attr) error {
	changes := []change.Change{change.Of("ensure", change.Absent, "file")}
	if blob == nil {
		blob = &resource.Blob{Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(nil)), nil }}
	}
	if blob.Size > 0 {
		c, err := f.contentChange(h, "", 0, blob)
		if err != nil {
			return err
		}
		changes = append(changes, c)
	}
	p.Do(f.write(h, blob, defaultMode(want, f.newMode(blob))), append(changes, f.attributes().created()...)...)
	return nil
}

func (f *File) newMode(blob *resource.Blob) fs.FileMode {
	if f.fresh != 0 {
		return f.fresh
	}
	if blob.Exec {
		return 0o755
	}
	return 0o644
}

// planOld brings a file that is there into line.
func (f *File) planOld(ctx context.Context, h *host.Host, p *resource.Plan, is host.Info, blob *resource.Blob, want host.Attr) error {
	changes := f.attributes().changes(ctx, h, is, want)
	if blob != nil && (f.Replace == nil || *f.Replace) {
		same := is.Size == blob.Size
		if same {
			digest, err := h.FS.Digest(f.Path)
			if err != nil {
				return fmt.Errorf("reading %s: %w", f.Path, err)
			}
			same = digest == blob.Digest
		}
		if !same {
			c, err := f.contentChange(h, f.Path, is.Size, blob)
			if err != nil {
				return err
			}
			p.Do(f.write(h, blob, want), append([]change.Change{c}, changes...)...)
			return nil
		}
	}
	if len(changes) > 0 {
		p.Do(func(ctx context.Context) error { return h.FS.SetAttr(ctx, f.Path, want) }, changes...)
	}
	return nil
}

// write is the step that writes the content.
func (f *File) write(h *host.Host, blob *resource.Blob, attr host.Attr) func(context.Context) error {
	return func(ctx context.Context) (err error) {
		r, err := blob.Open()
		if err != nil {
			return fmt.Errorf("opening the content of %s: %w", f.Path, err)
		}
		defer func() { err = errors.Join(err, r.Close()) }()
		if f.owned {
			if err := h.FS.MakeDir(ctx, path.Dir(f.Path), host.Attr{}); err != nil {
				return err
			}
		}
		check := f.check
		if check == nil {
			check = validation(h, f.Validation)
		}
		backup, oldest, err := f.backups(h)
		if err != nil {
			return err
		}
		if err := h.FS.Write(ctx, f.Path, r, host.WriteOptions{Attr: attr, Backup: backup, Validate: check}); err != nil {
			return err
		}
		for _, name := range oldest {
			err = errors.Join(err, h.FS.Remove(ctx, name, false))
		}
		return err
	}
}
