package catalog

import (
	"reflect"
	"slices"

	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// maxResources bounds the catalog of one node.
const maxResources = policy.MaxResources

// full says once that the catalog is too large.
func (b *builder) full(d *policy.Declaration) {
	if n := len(b.problems); n == 0 || b.problems[n-1].Code != "too-large" {
		b.fail(d.Pos, "too-large", "", "a node has at most %d resources", maxResources)
	}
}

// expectMore makes room for n more resources: an item and what it was made of are large, and are not to be copied each time
// the catalog grows.
func (b *builder) expectMore(n int) {
	n = min(n, maxResources-len(b.items))
	b.items, b.decls = slices.Grow(b.items, n), slices.Grow(b.decls, n)
}

// add puts an item into the catalog and returns where it is. The same resource declared again by another module, in the same
// words, is shared; in others it is an error that names both places.
func (b *builder) add(it *resource.Item, d declared) (at int, ok bool) {
	at, twice := b.byID[it.ID]
	if twice {
		return at, b.share(at, it, d)
	}
	at = len(b.items)
	b.byID[it.ID] = at
	b.items = append(b.items, *it)
	b.decls = append(b.decls, d)
	return at, true
}

// share makes one resource of two declarations that say the same: it is in order after all that either of them names, and
// is changed if one of them wants it changed.
func (b *builder) share(at int, it *resource.Item, d declared) bool {
	first := &b.items[at]
	switch {
	case b.decls[at].module == d.module && it.Pos == first.Pos:
		b.fail(it.Pos, "duplicate", "use {{ .key }} in the identity", "two items of foreach make %s", it.ID)
		return false
	case first.Digest != it.Digest:
		b.fail(it.Pos, "duplicate", "two identical declarations would be shared; make them equal, or remove one",
			"%s is declared here and, differently, at %s", it.ID, first.Pos)
		return false
	case b.decls[at].module == d.module:
		b.fail(it.Pos, "duplicate", "remove one", "%s is declared twice in module %s; first at %s", it.ID, d.module, first.Pos)
		return false
	case !reflect.DeepEqual(first.Meta.Window, it.Meta.Window):
		b.fail(it.Pos, "duplicate", "give both the same window, or remove one", "%s is declared here and, with another window, at %s", it.ID, first.Pos)
		return false
	case first.Meta.Guard != it.Meta.Guard:
		b.fail(it.Pos, "duplicate", "give both the same guard, or remove one", "%s is declared here and, with another guard, at %s", it.ID, first.Pos)
		return false
	}
	first.Meta.Audit = first.Meta.Audit && it.Meta.Audit
	first.Meta.Sensitive = first.Meta.Sensitive || it.Meta.Sensitive
	first.Meta.Controls = union(first.Meta.Controls, it.Meta.Controls)
	first.Meta.Tags = union(first.Meta.Tags, it.Meta.Tags)
	first.Meta.Timeout, first.Meta.Retries = max(first.Meta.Timeout, it.Meta.Timeout), max(first.Meta.Retries, it.Meta.Retries)
	b.decls[at].also = append(b.decls[at].also, d)
	return true
}

func union(a, b []string) []string {
	all := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}
