package catalog

import (
	"context"
	"errors"
	"fmt"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// Unavailable stands for a resource that cannot be made on this node: it lacks a secret, or a template asks for a value that it
// does not have. It fails, or waits if Why is a [*host.Wait]; what depends on it is skipped, and the rest of the catalog is enforced.
type Unavailable struct{ Why error }

var _ resource.Resource = (*Unavailable)(nil)

// Plan implements [resource.Resource]: it cannot be planned.
func (u *Unavailable) Plan(context.Context, *host.Host) (resource.Plan, error) {
	return resource.Plan{}, u.Why
}

// spared says whether a mistake concerns one resource of one node alone, and is no reason to do without the others: a value that
// other nodes have.
func (b *builder) spared(err error) bool {
	var e *templateError
	return b.onNode && errors.As(err, &e) && e.absent
}

// constants reports whether attributes are rendered to themselves, and are nothing that could be changed later.
func constants(attrs map[string]any) bool {
	for _, v := range attrs {
		switch v := v.(type) {
		case string:
			if dynamic(v) {
				return false
			}
		case []any, map[string]any:
			return false
		}
	}
	return true
}

// attributes renders what a declaration says; unavailable is why it cannot be had on this node.
func (b *builder) attributes(d *policy.Declaration, e env) (attrs map[string]any, unavailable error, ok bool) {
	if constants(d.Attrs) {
		return d.Attrs, nil, true
	}
	attrs = make(map[string]any, len(d.Attrs))
	for key, v := range d.Attrs {
		value, err := e.value(v)
		switch {
		case b.spared(err):
			unavailable = fmt.Errorf("%s: %s: %w", d.Place(key), key, err)
		case err != nil:
			b.fail(d.Place(key), "bad-template", firstHint(err), "%s: %s", key, err)
			return nil, nil, false
		}
		attrs[key] = value
	}
	return attrs, unavailable, true
}
