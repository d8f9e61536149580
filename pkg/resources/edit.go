package resources

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// maxEdit is the size in bytes of the largest file that lines are edited in.
const maxEdit = 8 << 20

// textEdit changes a part of a text file that others own too.
type textEdit struct {
	Path       string
	Create     bool      // make the file if it is missing; otherwise that is an error, unless nothing is to be done
	New        host.Attr // of a file that is made
	Validation resource.Argv
	// Check, if set, looks at the candidate after Validation; an error leaves the file as it was.
	Check func(ctx context.Context, candidate string) error
	// Edit returns the new lines for the old ones. What it returns must be in line already: editing it again changes
	// nothing.
	Edit func(lines []string) ([]string, error)
}

// plan reads the file and plans its new content. A symbolic link is not followed.
func (e textEdit) plan(h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	is, err := look(h, e.Path)
	if err != nil {
		return p, err
	}
	var old text
	var before []byte
	if is != nil {
		if is.Kind == host.Symlink {
			return p, fault.WithHint(fmt.Errorf("%s is a symbolic link", e.Path), "name the file it points to: "+is.Target)
		}
		if is.Kind != host.File {
			return p, fmt.Errorf("%s is a %s, not a file", e.Path, is.Kind)
		}
		if before, err = h.FS.Read(e.Path, maxEdit); err != nil {
			return p, fmt.Errorf("reading %s: %w", e.Path, err)
		}
		old = textOf(string(before))
	}
	edited, err := e.edit(old)
	if err != nil {
		return p, fmt.Errorf("%s: %w", e.Path, err)
	}
	if equalLines(edited.lines, old.lines) {
		return p, nil
	}
	if is == nil && !e.Create {
		return p, fault.WithHint(fmt.Errorf("reading %s: %w", e.Path, host.ErrNotFound), "create: true makes the file")
	}
	after := edited.String()
	changes := []change.Change{contentChange("content", before, []byte(after))}
	attr := host.Attr{}
	if is == nil {
		changes = append([]change.Change{change.Of("ensure", change.Absent, "file")}, changes...)
		attr = defaultMode(e.New, 0o644)
	}
	p.Do(func(ctx context.Context) error {
		return h.FS.Write(ctx, e.Path, strings.NewReader(after), host.WriteOptions{Attr: attr, Validate: e.validate(h)})
	}, changes...)
	return p, nil
}

// validate is all that must be true of a candidate.
func (e textEdit) validate(h *host.Host) func(context.Context, string) error {
	command := validation(h, e.Validation)
	if e.Check == nil {
		return command
	}
	return func(ctx context.Context, candidate string) error {
		if command != nil {
			if err := command(ctx, candidate); err != nil {
				return err
			}
		}
		return e.Check(ctx, candidate)
	}
}

// edit returns the text as it should be. Once the last line that ended in a bare LF is gone, every line ends in CR LF, and
// CR is no part of a line any more: what is left is edited once more, as the next run would see it.
func (e textEdit) edit(old text) (text, error) {
	lines, err := e.Edit(old.lines)
	if err != nil || equalLines(lines, old.lines) {
		return old, err
	}
	edited := textOf(text{lines: lines, crlf: old.crlf}.String())
	if edited.crlf == old.crlf {
		return edited, nil
	}
	edited.lines, err = e.Edit(edited.lines)
	return edited, err
}

// text is a file as lines without their ends.
type text struct {
	lines []string
	crlf  bool // all lines end in CR LF; where only some do, CR counts as a part of the line
}

// textOf takes a file apart. The last line may lack its end; it gets one when the file is written.
func textOf(content string) text {
	ends := strings.Count(content, "\n")
	t := text{crlf: ends > 0 && ends == strings.Count(content, "\r\n")}
	if content == "" {
		return t
	}
	t.lines = strings.Split(strings.TrimSuffix(content, "\n"), "\n")
	if t.crlf {
		for i, l := range t.lines {
			t.lines[i] = strings.TrimSuffix(l, "\r")
		}
	}
	return t
}

// String puts the file together.
func (t text) String() string {
	end := "\n"
	if t.crlf {
		end = "\r\n"
	}
	if len(t.lines) == 0 {
		return ""
	}
	return strings.Join(t.lines, end) + end
}

func equalLines(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// place says where new lines go into a file: behind the last line that matches after, before the first that matches
// before, or at the end. A pattern that matches nothing means the end.
type place struct{ after, before *pattern }

func (w place) of(lines []string) int {
	if w.after != nil {
		for i := len(lines) - 1; i >= 0; i-- {
			if w.after.MatchString(lines[i]) {
				return i + 1
			}
		}
	}
	if w.before != nil {
		for i, l := range lines {
			if w.before.MatchString(l) {
				return i
			}
		}
	}
	return len(lines)
}

// placeOf compiles the attributes insert_after and insert_before.
func placeOf(after, before string) (place, error) {
	if after != "" && before != "" {
		return place{}, errors.New("insert_after and insert_before exclude each other")
	}
	a, err := patternOf("insert_after", after)
	if err != nil {
		return place{}, err
	}
	b, err := patternOf("insert_before", before)
	return place{a, b}, err
}

// oneLine says what is wrong with text that must fit on a line.
func oneLine(field, s string) error {
	if strings.ContainsAny(s, "\n\r\x00") {
		return fmt.Errorf("%s must be one line", field)
	}
	return nil
}
