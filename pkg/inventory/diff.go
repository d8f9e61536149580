package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"vigo.dev/pkg/change"
)

const (
	// maxValue bounds a value in a difference, in bytes.
	maxValue = 160
	// maxDepth is how deep is looked into mappings: each level is decoded anew, and what is below differs as a whole.
	maxDepth = 8
)

// Diff returns in which values a document differs from what it was, by their paths, sorted; at most limit, and how many more there
// are. What a list has lost or got is a difference each, with the path of the list and [].
func Diff(was, became []byte, limit int) (changes []change.Change, more int, err error) {
	d := differ{limit: limit}
	if err := d.values("", was, became); err != nil {
		return nil, 0, fmt.Errorf("comparing documents: %w", err)
	}
	return d.changes, d.more, nil
}

type differ struct {
	limit   int
	depth   int
	changes []change.Change
	more    int
}

func (d *differ) add(path, from, to string) {
	if len(d.changes) == d.limit {
		d.more++
		return
	}
	d.changes = append(d.changes, change.Change{Field: shortened(path), From: from, To: to})
}

// values compares two values; nil is one that is not there. Only what differs is decoded.
func (d *differ) values(path string, was, became json.RawMessage) error {
	switch {
	case bytes.Equal(was, became):
		return nil
	case begins(was, '{') && begins(became, '{') && d.depth < maxDepth:
		d.depth++
		defer func() { d.depth-- }()
		return d.mappings(path, was, became)
	case begins(was, '[') && begins(became, '['):
		return d.lists(path, was, became)
	}
	d.add(path, text(was), text(became))
	return nil
}

func begins(value json.RawMessage, c byte) bool { return len(value) > 0 && value[0] == c }

func (d *differ) mappings(path string, was, became json.RawMessage) error {
	var a, b map[string]json.RawMessage
	was, became = narrowed(was, became)
	if err := json.Unmarshal(was, &a); err != nil {
		return err
	}
	if err := json.Unmarshal(became, &b); err != nil {
		return err
	}
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if err := d.values(within(path, key), a[key], b[key]); err != nil {
			return err
		}
	}
	return nil
}

// within is the path of a key; one with dots or brackets is quoted, as conditions want it.
func within(path, key string) string {
	if key == "" || strings.ContainsAny(key, `.[]"`) {
		return fmt.Sprintf("%s[%q]", path, key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func (d *differ) lists(path string, was, became json.RawMessage) error {
	var a, b []json.RawMessage
	if err := json.Unmarshal(was, &a); err != nil {
		return err
	}
	if err := json.Unmarshal(became, &b); err != nil {
		return err
	}
	lost, got, order := without(a, b), without(b, a), len(d.changes)+d.more
	for _, v := range lost {
		d.add(path+"[]", text(v), change.Absent)
	}
	for _, v := range got {
		d.add(path+"[]", change.Absent, text(v))
	}
	if len(d.changes)+d.more == order {
		d.add(path, "", "in another order")
	}
	return nil
}

// without returns the elements of a that b has not, or not as often.
func without(a, b []json.RawMessage) (rest []json.RawMessage) {
	counts := map[string]int{}
	for _, v := range b {
		counts[string(v)]++
	}
	for _, v := range a {
		if counts[string(v)]--; counts[string(v)] < 0 {
			rest = append(rest, v)
		}
	}
	return rest
}

// text is a value as people read it, shortened.
func text(value json.RawMessage) string {
	if value == nil {
		return change.Absent
	}
	var s string
	if begins(value, '"') && json.Unmarshal(value, &s) == nil {
		return shortened(s)
	}
	return shortened(string(value))
}

// shortened cuts a text to what is kept of it.
func shortened(s string) string {
	if len(s) <= maxValue {
		return s
	}
	cut := maxValue
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
