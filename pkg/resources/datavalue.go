package resources

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"vigo.dev/pkg/resource"
)

// The values of documents are those of JSON, map[string]any and []any, and scalars of any Go type.

// equalData compares two values; whole numbers are equal whatever their type.
func equalData(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		m, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, m, equalData)
	case []any:
		l, ok := b.([]any)
		return ok && slices.EqualFunc(a, l, equalData)
	case string, bool, nil:
		return a == b
	}
	if na, ok := numberText(a); ok {
		nb, ok := numberText(b)
		return ok && na == nb
	}
	return fmt.Sprint(a) == fmt.Sprint(b)
}

// numberText renders a number in one form, however it was written.
func numberText(v any) (string, bool) {
	switch n := v.(type) {
	case int:
		return strconv.Itoa(n), true
	case int64:
		return strconv.FormatInt(n, 10), true
	case uint64:
		return strconv.FormatUint(n, 10), true
	case float64:
		if n == math.Trunc(n) && math.Abs(n) < 1<<53 {
			return strconv.FormatInt(int64(n), 10), true
		}
		return strconv.FormatFloat(n, 'g', -1, 64), true
	case json.Number:
		if _, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
			return n.String(), true
		}
		if f, err := n.Float64(); err == nil {
			return numberText(f)
		}
		return n.String(), true
	}
	return "", false
}

// place of a value inside a document: string keys and int indexes.
type dataPlace []any

func (p dataPlace) String() string {
	if len(p) == 0 {
		return "the document"
	}
	return placePath(p).String()
}

func (p dataPlace) with(step any) dataPlace { return append(slices.Clone(p), step) }

// child returns what a step leads to. In nothing there is nothing; a step into a scalar, or of the wrong kind, is an
// error.
func child(v any, at dataPlace, step any) (inner any, found bool, err error) {
	switch v := v.(type) {
	case nil:
		return nil, false, nil
	case map[string]any:
		if key, ok := step.(string); ok {
			inner, found = v[key]
			return inner, found, nil
		}
		return nil, false, fmt.Errorf("%s is a mapping, and has no element %v", at, step)
	case []any:
		n, ok := step.(int)
		switch {
		case !ok:
			return nil, false, fmt.Errorf("%s is a list, and has no key %q", at, step)
		case n > len(v):
			return nil, false, fmt.Errorf("%s has %d elements, and a new one would be [%d]", at, len(v), len(v))
		case n == len(v):
			return nil, false, nil
		}
		return v[n], true, nil
	}
	return nil, false, fmt.Errorf("%s is %s, not a mapping or a list", at, describeData(v))
}

func describeData(v any) string {
	if n, ok := numberText(v); ok {
		return "the number " + n
	}
	return resource.Describe(v)
}

// follow settles the steps of a path against a document. It returns the place, the value there and whether it is there.
// Steps behind one that leads to nothing are taken as they are; a list element that is looked for and missing has no
// place.
func follow(doc any, path resource.DataPath) (at dataPlace, v any, found bool, err error) {
	v, found = doc, doc != nil
	for _, s := range path {
		var step any = s.Key
		switch s.Kind {
		case resource.ByIndex:
			step = s.Index
		case resource.ByMatch:
			if step, err = matching(v, at, s); err != nil {
				return at, nil, false, err
			}
		}
		if v, found, err = child(v, at, step); err != nil {
			return at, nil, false, err
		}
		at = at.with(step)
	}
	return at, v, found, nil
}

// matching returns the index of the list element whose key has a value, and the index of a new one if none has.
func matching(v any, at dataPlace, s resource.DataStep) (int, error) {
	list, ok := v.([]any)
	if !ok && v != nil {
		return 0, fmt.Errorf("%s is %s, not a list to look for %s=%s in", at, describeData(v), s.Key, s.Is)
	}
	found := -1
	for n, e := range list {
		m, ok := e.(map[string]any)
		if ok && m[s.Key] != nil && scalarText(m[s.Key]) == s.Is {
			if found >= 0 {
				return 0, fmt.Errorf("%s has more than one element with %s=%s", at, s.Key, s.Is)
			}
			found = n
		}
	}
	if found < 0 {
		return len(list), nil
	}
	return found, nil
}

func scalarText(v any) string {
	if n, ok := numberText(v); ok {
		return n
	}
	return fmt.Sprint(v)
}

// seed makes the element that a matching step will find, around what belongs into it.
func seed(path resource.DataPath, v any) any {
	for i := len(path) - 1; i >= 0; i-- {
		switch s := path[i]; s.Kind {
		case resource.ByKey:
			v = map[string]any{s.Key: v}
		case resource.ByIndex:
			v = []any{v}
		case resource.ByMatch:
			v = []any{named(s, v)}
		}
	}
	return v
}

// named gives a new list element the key it is looked for by.
func named(s resource.DataStep, v any) any {
	m, ok := v.(map[string]any)
	if !ok || m[s.Key] != nil {
		return v
	}
	m = maps.Clone(m)
	m[s.Key] = s.Is
	return m
}

// withData returns a document in which the value at a place is another; its parent is there.
func withData(doc any, at dataPlace, v any) any {
	if len(at) == 0 {
		return v
	}
	switch d := doc.(type) {
	case map[string]any:
		d, key := maps.Clone(d), at[0].(string)
		d[key] = withData(d[key], at[1:], v)
		return d
	case []any:
		d, n := slices.Clone(d), at[0].(int)
		if n == len(d) {
			return append(d, v)
		}
		d[n] = withData(d[n], at[1:], v)
		return d
	}
	return doc
}

// withoutData returns a document without the value at a place, which is there and not the document.
func withoutData(doc any, at dataPlace) any {
	switch d := doc.(type) {
	case map[string]any:
		d, key := maps.Clone(d), at[0].(string)
		if len(at) == 1 {
			delete(d, key)
		} else {
			d[key] = withoutData(d[key], at[1:])
		}
		return d
	case []any:
		d, n := slices.Clone(d), at[0].(int)
		if len(at) == 1 {
			return slices.Delete(d, n, n+1)
		}
		d[n] = withoutData(d[n], at[1:])
		return d
	}
	return doc
}

// placePath is a place as a path.
func placePath(p dataPlace) resource.DataPath {
	var path resource.DataPath
	for _, s := range p {
		if n, is := s.(int); is {
			path = append(path, resource.DataStep{Kind: resource.ByIndex, Index: n})
		} else {
			path = append(path, resource.DataStep{Key: s.(string)})
		}
	}
	return path
}
