package resources

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Block is a run of lines in a text file that others own too, kept between two marker lines, which are comments of the
// file. What is outside of the markers is left alone.
//
//	resources:
//	  - block: site-names
//	    path: /etc/hosts
//	    content: |
//	      10.0.0.5 db.example.com db
//	      10.0.0.6 cache.example.com cache
type Block struct {
	// Name of the block: a word, unique in the file, that stands in its markers.
	Name string `vigo:"identity"`

	// Path of the file, absolute. It must not be a symbolic link.
	Path string `yaml:"path" vigo:"required"`

	// Content is the text between the markers.
	Content *string `yaml:"content"`

	// Template is a file below templates/ of the module, whose rendering for the node is the text between the markers.
	Template string `yaml:"template"`

	// Ensure says whether the block should be there. Absent removes the block with its markers.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Comment is what starts a comment in the file; "#" if it is not given.
	Comment string `yaml:"comment"`

	// Begin and end are the marker lines, where they are others than "# vigo begin NAME" and "# vigo end NAME": of a block
	// that another tool has made, such as "# BEGIN ANSIBLE MANAGED BLOCK".
	Begin string `yaml:"begin"`

	// End is the line behind the block, see begin.
	End string `yaml:"end"`

	// InsertAfter is a regular expression: what is new goes behind the last line that matches it, or at the end of
	// the file.
	InsertAfter string `yaml:"insert_after"`

	// InsertBefore is a regular expression: what is new goes before the first line that matches it, or at the end of
	// the file.
	InsertBefore string `yaml:"insert_before"`

	// Create makes the file when it is missing. Without it a missing file is an error.
	Create bool `yaml:"create"`

	// Validation is a command that checks the new file before it takes the place of the old: {} stands for its path.
	Validation resource.Argv `yaml:"validate"`
}

var (
	_ resource.Validator = (*Block)(nil)
	_ resource.Requirer  = (*Block)(nil)
	_ resource.Binder    = (*Block)(nil)
)

// Validate implements [resource.Validator].
func (b *Block) Validate() error {
	if strings.ContainsAny(b.Name, " \t\n\r\x00") {
		return fmt.Errorf("the name %q must be one word", b.Name)
	}
	if err := checkPath(b.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if err := oneLine("comment", b.Comment); err != nil {
		return err
	}
	if err := b.checkMarkers(); err != nil {
		return err
	}
	if _, err := placeOf(b.InsertAfter, b.InsertBefore); err != nil {
		return err
	}
	given := b.Content != nil || b.Template != ""
	switch {
	case b.Content != nil && b.Template != "":
		return errors.New("content and template exclude each other")
	case b.Ensure != "absent" && !given:
		return errors.New("needs the key \"content\" or \"template\"")
	case b.Ensure == "absent" && given:
		return errors.New("a block that is to be absent has no content")
	}
	if err := b.checkContent(); err != nil {
		return err
	}
	return checkValidation(b.Validation)
}

// checkMarkers wants two lines that differ, or none.
func (b *Block) checkMarkers() error {
	switch {
	case b.Begin == "" && b.End == "":
		return nil
	case strings.TrimSpace(b.Begin) == "" || strings.TrimSpace(b.End) == "":
		return errors.New("begin and end belong together")
	case b.Begin == b.End:
		return errors.New("begin and end are the same line")
	case b.Comment != "":
		return errors.New("comment is for the usual markers, begin and end are markers of their own")
	}
	return errors.Join(oneLine("begin", b.Begin), oneLine("end", b.End))
}

// checkContent refuses content that holds a marker, or else the next run would take the file apart in another way.
func (b *Block) checkContent() error {
	for _, l := range b.lines() {
		if strings.Contains(l, "\r") {
			return errors.New("the content holds a carriage return inside a line")
		}
		if l == b.marker("begin") || l == b.marker("end") {
			return fmt.Errorf("the content holds its own marker %q", l)
		}
	}
	return nil
}

// Bind implements [resource.Binder].
func (b *Block) Bind(c resource.Content) error {
	if b.Template == "" {
		return nil
	}
	rendered, err := c.Template(b.Template)
	if err != nil {
		return fmt.Errorf("template: %w", err)
	}
	s := string(rendered)
	b.Content = &s
	return b.checkContent()
}

// Requires implements [resource.Requirer].
func (b *Block) Requires() []resource.ID {
	return append(above(b.Path), resource.ID{Type: "file", Name: b.Path})
}

// marker is the line before or behind the block; word is begin or end.
func (b *Block) marker(word string) string {
	if b.Begin != "" {
		return map[string]string{"begin": b.Begin, "end": b.End}[word]
	}
	comment := b.Comment
	if comment == "" {
		comment = "#"
	}
	return comment + " vigo " + word + " " + b.Name
}

// lines are the lines of the content; line ends are those of the file.
func (b *Block) lines() []string {
	if b.Content == nil {
		return nil
	}
	return textOf(strings.ReplaceAll(*b.Content, "\r\n", "\n")).lines
}

// Plan implements [resource.Resource].
func (b *Block) Plan(_ context.Context, h *host.Host) (resource.Plan, error) {
	where, err := placeOf(b.InsertAfter, b.InsertBefore)
	if err != nil {
		return resource.Plan{}, err
	}
	return textEdit{Path: b.Path, Create: b.Create, Validation: b.Validation, Edit: func(lines []string) ([]string, error) {
		return b.edit(lines, where)
	}}.plan(h)
}

// edit returns the lines as they should be: the first block replaced, further ones of the same name removed.
func (b *Block) edit(lines []string, where place) ([]string, error) {
	begin, end := b.marker("begin"), b.marker("end")
	rest, at, open := make([]string, 0, len(lines)), -1, false
	for i, l := range lines {
		switch {
		case l == begin && open, l == end && !open:
			return nil, brokenMarkers(i+1, l)
		case l == begin:
			open = true
			if at < 0 {
				at = len(rest)
			}
		case l == end:
			open = false
		case !open:
			rest = append(rest, l)
		}
	}
	if open {
		return nil, brokenMarkers(len(lines), "the end of the file")
	}
	if b.Ensure == "absent" {
		return rest, nil
	}
	if at < 0 {
		at = where.of(rest)
	}
	block := append(append([]string{begin}, b.lines()...), end)
	return slices.Insert(rest, at, block...), nil
}

func brokenMarkers(line int, found string) error {
	return fault.WithHint(fmt.Errorf("line %d: %s where another marker of the block was due", line, found),
		"the markers come in pairs, a begin and an end: repair the file by hand")
}
