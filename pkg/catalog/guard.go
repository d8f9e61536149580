package catalog

import (
	"fmt"
	"reflect"
	"strings"

	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
)

// guardable refuses a guard on what could not be put back.
func (b *builder) guardable(d *policy.Declaration, kind resource.Kind, res resource.Resource) bool {
	if d.Guard.Timeout == 0 {
		return true
	}
	err := fmt.Errorf("what a %s changes cannot be put back as it was", kind.Name)
	if r, can := res.(resource.Revertible); can {
		err = r.Revertible()
	}
	if err == nil {
		return true
	}
	b.fail(d.Guard.Pos, "bad-guard", b.guardHint(err), "%s:%s cannot have a guard: %s", d.Type, d.Identity, err)
	return false
}

func (b *builder) guardHint(err error) string {
	if hint := firstHint(err); hint != "" {
		return hint
	}
	var can []string
	for _, name := range b.Kinds.Names() {
		if k, _ := b.Kinds.Kind(name); k.Revertible() {
			can = append(can, name)
		}
	}
	return "these can: " + strings.Join(can, ", ")
}

// guardOf checks a guard as far as the type alone tells.
func (k *check) guardOf(d *policy.Declaration, kind resource.Kind) {
	if kind.Revertible() {
		return // its attributes are looked at with the rest of them
	}
	if res, can := reflect.New(kind.Type()).Interface().(resource.Resource); can {
		k.guardable(d, kind, res)
	}
}
