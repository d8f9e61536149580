package resources

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Script runs a script once: again only when its text, its interpreter or its arguments are others than those that ran last
// with success. It is for what must be done one time and has no state to compare, such as a migration. That it has run is
// kept in /var/lib/vigo-scripts, in a file with the name of the script. A machine that loses its power after the end of the
// script and before that is written runs it again, so a script should bear to be run twice.
//
// The script is written to a file that only its user can read, and the file is removed when the script has ended.
//
//	resources:
//	  - script: move-spool
//	    source: move-spool.sh
//	    interpreter: [/bin/sh, -eu]
//	    args: [/srv/spool]
type Script struct {
	// Name of the script: letters, digits, ".", "-" and "_".
	Name string `vigo:"identity"`

	// Ensure says whether the script should have run. Absent forgets that it has, and undoes nothing.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Content is the text of the script.
	Content *string `yaml:"content"`

	// Source is the path of the script below files/ of the module, in place of content; at most 1 MiB.
	Source string `yaml:"source"`

	// Template is the path of a template below templates/ of the module, in place of content.
	Template string `yaml:"template"`

	// Interpreter is the program that reads the script and its options, as a list: [/usr/bin/python3, -I].
	Interpreter []string `yaml:"interpreter" vigo:"argv"`

	// Args are the arguments of the script.
	Args []string `yaml:"args" vigo:"argv"`

	// Creates is a path: the script is not due while something is there.
	Creates string `yaml:"creates"`

	// Dir is the working directory; "/" if it is not given.
	Dir string `yaml:"cwd"`

	// Env are environment variables, beside PATH, LANG and HOME. Other values do not make the script run again.
	Env map[string]string `yaml:"env" vigo:"secret"`

	// User is the name of the user that the script runs as.
	User string `yaml:"user"`

	// Umask of the script, as a quoted octal string such as "0027".
	Umask string `yaml:"umask"`

	// Returns are the statuses that mean success; [0] if it is not given.
	Returns []int `yaml:"returns"`

	file File // holds the text
}

const (
	scriptFolder = "/var/lib/vigo-scripts"
	maxScript    = 1 << 20
)

var (
	_ resource.Validator = (*Script)(nil)
	_ resource.Requirer  = (*Script)(nil)
	_ resource.Binder    = (*Script)(nil)
)

// exec is the script as a command that reads a file.
func (s *Script) exec(file string) *Exec {
	argv := append(append([]string{}, s.Interpreter...), file)
	return &Exec{Name: s.Name, Command: append(argv, s.Args...), Creates: s.Creates, Always: true,
		Dir: s.Dir, Env: s.Env, User: s.User, Umask: s.Umask, Returns: s.Returns}
}

// Validate implements [resource.Validator].
func (s *Script) Validate() error {
	if err := checkWord("the name", s.Name); err != nil {
		return err
	}
	given := 0
	for _, is := range []bool{s.Content != nil, s.Source != "", s.Template != ""} {
		if is {
			given++
		}
	}
	switch {
	case s.Ensure == "absent" && given > 0:
		return errors.New("what is to be absent has no content")
	case s.Ensure == "absent":
		return nil
	case given == 0:
		return errors.New(`needs one of the keys "content", "source" and "template"`)
	case given > 1:
		return errors.New("content, source and template exclude each other")
	case len(s.Interpreter) == 0:
		return fault.WithHint(errors.New("nothing says which program reads the script"), "interpreter: [/bin/sh, -eu]")
	case s.Interpreter[0] == "" || s.Interpreter[0][0] != '/':
		return fmt.Errorf("interpreter: %q is not an absolute path", s.Interpreter[0])
	}
	return s.exec("script").Validate()
}

// Requires implements [resource.Requirer].
func (s *Script) Requires() []resource.ID {
	if s.Ensure == "absent" {
		return nil
	}
	return append(s.exec("script").Requires(), resource.ID{Type: "file", Name: s.Interpreter[0]})
}

// Bind implements [resource.Binder].
func (s *Script) Bind(c resource.Content) error {
	s.file = File{Content: s.Content, Source: s.Source, Template: s.Template}
	return s.file.Bind(c)
}

// text returns the script.
func (s *Script) text() ([]byte, error) {
	b := s.file.wanted()
	if b == nil {
		return nil, errors.New("the content was not taken from the module") // Bind was not called
	}
	if b.Size > maxScript {
		return nil, fmt.Errorf("the script has %d bytes: at most %d are run", b.Size, maxScript)
	}
	rc, err := b.Open()
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(io.LimitReader(rc, maxScript))
}

// Plan implements [resource.Resource].
func (s *Script) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	stamp := scriptFolder + "/" + s.Name
	if s.Ensure == "absent" {
		return gone(stamp).Plan(ctx, h)
	}
	var p resource.Plan
	text, err := s.text()
	if err != nil {
		return p, err
	}
	key, err := json.Marshal([]any{s.Interpreter, s.Args, digestOf(text)})
	if err != nil {
		return p, fmt.Errorf("rendering the command: %w", err)
	}
	want := digestOf(key)
	ran, err := h.FS.Read(stamp, 4096)
	from := strings.TrimSpace(string(ran))
	switch {
	case errors.Is(err, host.ErrNotFound):
		from = change.Absent
	case err != nil:
		return p, err
	case from == want:
		return p, nil
	}
	if s.Creates != "" {
		is, err := look(h, s.Creates)
		if err != nil || is != nil {
			return p, err
		}
	}
	p.Do(func(ctx context.Context) error {
		if err := s.run(ctx, h, text); err != nil {
			return err
		}
		return h.FS.Write(ctx, stamp, strings.NewReader(want+"\n"), host.WriteOptions{Attr: defaultMode(host.Attr{}, 0o644)})
	}, change.Of("ran", from, want))
	return p, nil
}

// run writes the script for its user alone and runs it.
func (s *Script) run(ctx context.Context, h *host.Host, text []byte) (err error) {
	perm := fs.FileMode(0o400)
	attr := host.Attr{Mode: &perm}
	if s.User != "" {
		u, err := h.Accounts.User(ctx, s.User)
		if err != nil {
			return err
		}
		attr.UID, attr.GID = &u.UID, &u.GID
	}
	if err := h.FS.MakeDir(ctx, scriptFolder, host.Attr{}); err != nil {
		return err
	}
	// "~" is in no name of a script, so this is nobody's stamp.
	file := scriptFolder + "/" + s.Name + "~"
	if err := h.FS.Write(ctx, file, strings.NewReader(string(text)), host.WriteOptions{Attr: attr}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.FS.Remove(context.WithoutCancel(ctx), file, false)) }()
	return s.exec(file).run(ctx, h)
}
