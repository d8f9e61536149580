package policytest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/resource"
)

// A texter is a resource whose content can be compared: a file.
type texter interface{ Text() (string, bool) }

func compare(l catalog.Language, cat *resource.Catalog, want Expect, seen *cover) []string {
	var failures []string
	for _, node := range want.Resources {
		failures = append(failures, expected(l, cat, &node, seen)...)
	}
	for _, id := range want.Absent {
		if find(cat, id) != nil {
			failures = append(failures, fmt.Sprintf("%s is there and should not be", id))
		}
	}
	return failures
}

func find(cat *resource.Catalog, id string) *resource.Item {
	for i := range cat.Items {
		if cat.Items[i].ID.String() == id {
			return &cat.Items[i]
		}
	}
	return nil
}

// expected compares one expected resource with the catalog.
func expected(l catalog.Language, cat *resource.Catalog, node *yaml.Node, seen *cover) []string {
	if node.Kind != yaml.MappingNode || len(node.Content) < 2 {
		return []string{fmt.Sprintf("line %d: an expected resource begins with its type and identity", node.Line)}
	}
	id := node.Content[0].Value + ":" + node.Content[1].Value
	it := find(cat, id)
	if it == nil {
		return []string{fmt.Sprintf("%s is not there; there are: %s", id, strings.Join(names(cat), ", "))}
	}
	seen.resources[it.Pos] = true
	kind, _ := l.Kinds.Kind(it.ID.Type)
	var failures []string
	for i := 2; i+1 < len(node.Content); i += 2 {
		key := node.Content[i].Value
		var want any
		if err := node.Content[i+1].Decode(&want); err != nil {
			failures = append(failures, fmt.Sprintf("line %d: %v", node.Content[i+1].Line, err))
			continue
		}
		if msg := attribute(cat, it, kind, key, plain(want)); msg != "" {
			failures = append(failures, fmt.Sprintf("%s: %s: %s", id, key, msg))
		}
	}
	return failures
}

func names(cat *resource.Catalog) []string {
	all := make([]string, len(cat.Items))
	for i, it := range cat.Items {
		all[i] = it.ID.String()
	}
	return all
}

// attribute returns how an attribute differs, or "".
func attribute(cat *resource.Catalog, it *resource.Item, kind resource.Kind, key string, want any) string {
	switch key {
	case "notifies":
		return relation(cat, it.Notifies, want)
	case "requires":
		return relation(cat, it.Requires, want)
	case "content":
		if t, ok := it.Resource.(texter); ok {
			return content(t, want)
		}
	}
	got, ok := kind.Value(it.Resource, key)
	if _, vague := it.Resource.(*catalog.Unavailable); vague {
		return "it needs a secret, so this is known on its nodes alone"
	}
	if !ok {
		return "this type has no such attribute"
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("want %v, got %v", want, got)
	}
	return ""
}

func relation(cat *resource.Catalog, indexes []int, want any) string {
	list, ok := want.([]any)
	if !ok {
		return "want a list of type:identity"
	}
	for _, w := range list {
		if !slices.ContainsFunc(indexes, func(i int) bool { return cat.Items[i].ID.String() == fmt.Sprint(w) }) {
			return fmt.Sprintf("%v is not among them", w)
		}
	}
	return ""
}

func content(t texter, want any) string {
	got, ok := t.Text()
	if !ok {
		return "the content is not text"
	}
	if parts, ok := want.([]any); ok {
		for _, part := range parts {
			if !strings.Contains(got, fmt.Sprint(part)) {
				return fmt.Sprintf("%q is not in it:\n%s", part, got)
			}
		}
		return ""
	}
	if got != fmt.Sprint(want) {
		if part, text := want.(string); text && part != "" && strings.Contains(got, part) {
			return fmt.Sprintf("want %q, got %q (it is in it: write [%q] if that is enough)", want, got, part)
		}
		return fmt.Sprintf("want %q, got %q", want, got)
	}
	return ""
}
