package resources

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// A dataFormat edits the text of one kind of document, and leaves alone what it is not asked for.
type dataFormat interface {
	// parse returns the value of a document: nil for an empty one.
	parse(text string) (any, error)
	// render writes a document anew.
	render(v any) (string, error)
	// replace puts another value at a place that is there and is not the document.
	replace(text string, at dataPlace, v any) (string, error)
	// insert adds a key to a mapping that is there, or an element at the end of a list.
	insert(text string, at dataPlace, v any) (string, error)
	// remove takes a place away that is there and is not the document.
	remove(text string, at dataPlace) (string, error)
}

// dataEdit is what the types json, yaml and toml are: each is this struct under another name.
type dataEdit struct {
	// Name of the value in the policy, free to choose.
	Name string `vigo:"identity"`

	// Path of the file, absolute. It must not be a symbolic link.
	Path string `yaml:"path" vigo:"required"`

	// At leads to the value, such as server.ports[0] or users[name=web].role; keys with other characters stand in double
	// quotes. A list of keys and numbers will do too. Empty means the whole document.
	At resource.DataPath `yaml:"at"`

	// Value is what should be there: a scalar, a mapping or a list. What was there is replaced.
	Value any `yaml:"value"`

	// Merge is a mapping whose keys are set in the mapping that is there, level by level; other keys are left alone.
	Merge map[string]any `yaml:"merge"`

	// Items are elements that the list must have, in any place; others are left alone. With absent, elements it must not
	// have.
	Items []any `yaml:"items"`

	// Ensure says whether the value should be there. Absent removes what at leads to, or the items from it.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Create makes the file when it is missing. Without it a missing file is an error.
	Create bool `yaml:"create"`

	// Validation is a command that checks the new file before it takes the place of the old: {} stands for its path.
	Validation resource.Argv `yaml:"validate"`
}

func (d *dataEdit) validate() error {
	if err := checkPath(d.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	given := 0
	for _, is := range []bool{d.Value != nil, d.Merge != nil, d.Items != nil} {
		if is {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("value, merge and items exclude each other")
	case d.Ensure != "absent" && given == 0:
		return errors.New("needs value, merge or items")
	case d.Ensure == "absent" && (d.Value != nil || d.Merge != nil):
		return fault.WithHint(errors.New("what is to be absent has no value"), "at names what is removed, and items what of a list")
	case d.Ensure == "absent" && len(d.At) == 0 && d.Items == nil:
		return fault.WithHint(errors.New("needs the key \"at\" to know what to remove"), "the type file removes a whole file")
	case d.Ensure == "absent" && d.Items == nil && d.At[len(d.At)-1].Kind == resource.ByIndex:
		return fault.WithHint(fmt.Errorf("at: another element will be %s once this one is removed", d.At),
			"name the element by a key, such as [name=web], or by what it is, with items")
	case d.Items != nil && len(d.Items) == 0:
		return errors.New("items is empty")
	}
	return checkValidation(d.Validation)
}

func (d *dataEdit) requires() []resource.ID {
	return append(above(d.Path), resource.ID{Type: "file", Name: d.Path})
}

func (d *dataEdit) plan(h *host.Host, f dataFormat) (resource.Plan, error) {
	return textEdit{Path: d.Path, Create: d.Create, Validation: d.Validation, Edit: wholeText(func(text string) (string, error) {
		edited, err := d.inLine(text, f)
		if err != nil || edited == text {
			return edited, err
		}
		if again, err := d.inLine(edited, f); err != nil || again != edited {
			return "", fault.WithHint(fmt.Errorf("%s: what is written would not be found by the next run, and written again", d.At),
				"an element that is looked for by a key is a mapping with that key and value")
		}
		return edited, nil
	})}.plan(h)
}

// inLine returns the text of a document as it should be.
func (d *dataEdit) inLine(text string, f dataFormat) (string, error) {
	e := &dataEditing{dataFormat: f, text: text}
	var err error
	if e.doc, err = f.parse(text); err != nil {
		return "", fault.WithHint(err, "repair the file by hand: it is not edited while it cannot be read")
	}
	err = d.edit(e)
	return e.text, err
}

// edit brings a document into line.
func (d *dataEdit) edit(e *dataEditing) error {
	at, old, found, err := follow(e.doc, d.At)
	if d.Ensure == "absent" {
		if err != nil || !found { // where no such thing can be, there is none
			return nil
		}
		if d.Items != nil {
			return d.removeItems(e, at, old)
		}
		return e.drop(at)
	}
	switch {
	case err != nil:
		return err
	case d.Items != nil:
		return d.addItems(e, at, old, found)
	case d.Merge != nil:
		return d.merge(e, d.At, d.Merge)
	case found && equalData(old, d.Value):
		return nil
	}
	return e.put(d.At, d.Value)
}

// merge sets what is in a mapping, key by key, and leaves other keys alone.
func (d *dataEdit) merge(e *dataEditing, path resource.DataPath, want map[string]any) error {
	_, old, found, err := follow(e.doc, path)
	if err != nil {
		return err
	}
	if _, is := old.(map[string]any); !is {
		if found && old != nil && len(path) == 0 {
			return fmt.Errorf("the document is %s, not a mapping to merge into", describeData(old))
		}
		return e.put(path, want)
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		below := append(slices.Clone(path), resource.DataStep{Key: key})
		_, old, found, err := follow(e.doc, below)
		if err != nil {
			return err
		}
		inner, nested := want[key].(map[string]any)
		if _, is := old.(map[string]any); nested && is {
			err = d.merge(e, below, inner)
		} else if !found || !equalData(old, want[key]) {
			err = e.put(below, want[key])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *dataEdit) addItems(e *dataEditing, at dataPlace, old any, found bool) error {
	list, is := old.([]any)
	if !is && found && old != nil {
		return fmt.Errorf("%s is %s, not a list", at, describeData(old))
	}
	var missing []any
	for _, item := range d.Items {
		same := func(v any) bool { return equalData(v, item) }
		if !slices.ContainsFunc(list, same) && !slices.ContainsFunc(missing, same) {
			missing = append(missing, item)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if len(list) == 0 {
		return e.put(d.At, missing)
	}
	for n, item := range missing {
		if err := e.put(append(slices.Clone(d.At), resource.DataStep{Kind: resource.ByIndex, Index: len(list) + n}), item); err != nil {
			return err
		}
	}
	return nil
}

func (d *dataEdit) removeItems(e *dataEditing, at dataPlace, old any) error {
	list, is := old.([]any)
	if !is {
		return nil
	}
	for n := len(list) - 1; n >= 0; n-- {
		if slices.ContainsFunc(d.Items, func(item any) bool { return equalData(item, list[n]) }) {
			if err := e.drop(at.with(n)); err != nil {
				return err
			}
		}
	}
	return nil
}

// dataEditing is a document while it is edited: its text, and the value of the text.
type dataEditing struct {
	dataFormat
	text string
	doc  any
}

// put sets the value at a path, and makes the mappings and lists on the way.
func (e *dataEditing) put(path resource.DataPath, v any) error {
	for n := 0; n <= len(path); n++ {
		at, old, found, err := follow(e.doc, path[:n])
		if err != nil {
			return err
		}
		if old != nil && n < len(path) {
			continue
		}
		v = seed(path[n:], v)
		if n > 0 && path[n-1].Kind == resource.ByMatch {
			v = named(path[n-1], v)
		}
		switch {
		case n == 0:
			text, err := e.render(v)
			if e.doc == nil { // there may be comments
				text = e.text + text
			}
			return e.becomes(text, err, v, at)
		case found:
			text, err := e.replace(e.text, at, v)
			return e.becomes(text, err, withData(e.doc, at, v), at)
		}
		text, err := e.insert(e.text, at, v)
		return e.becomes(text, err, withData(e.doc, at, v), at)
	}
	return nil
}

func (e *dataEditing) drop(at dataPlace) error {
	text, err := e.remove(e.text, at)
	return e.becomes(text, err, withoutData(e.doc, at), at)
}

// becomes takes over an edited text, once it was read and says what it should: an edit that would disturb the rest of the
// document is never written.
func (e *dataEditing) becomes(text string, err error, want any, at dataPlace) error {
	if err != nil {
		return fmt.Errorf("editing %s: %w", at, err)
	}
	text = ended(text)
	got, err := e.parse(text)
	if err != nil || !equalData(got, want) {
		return fault.WithHint(fmt.Errorf("editing %s: the file has a form that cannot be edited in place", at),
			"declare the whole content with the type file, or write that part of the file in a plainer form")
	}
	e.text, e.doc = text, got
	return nil
}
