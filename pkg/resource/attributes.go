package resource

import "reflect"

// Hidden is shown in place of the value of a secret.
const Hidden = "(not shown)"

// Attributes returns what a declaration says, by key, as values of JSON, to be shown to people: what is not set is left
// out, a secret is [Hidden]. The identity is among them under the name of the kind.
func (k Kind) Attributes(res Resource) map[string]any {
	if !k.made(res) {
		return map[string]any{}
	}
	return attributes(k.Fields, reflect.ValueOf(res).Elem())
}

// made says whether a resource is of this kind: one that could not be made is stood in for by another.
func (k Kind) made(res Resource) bool { return reflect.TypeOf(res) == reflect.PointerTo(k.typ) }

func attributes(fields []Field, v reflect.Value) map[string]any {
	all := make(map[string]any, len(fields))
	for _, f := range fields {
		at := v.Field(f.index)
		switch {
		case at.IsZero():
		case f.Secret:
			all[f.Key] = Hidden
		case f.Fields != nil:
			all[f.Key] = nested(f, at)
		default:
			all[f.Key] = plainValue(at)
		}
	}
	return all
}

// nested shows a mapping, or a list of them.
func nested(f Field, v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return nested(f, v.Elem())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = nested(f, v.Index(i))
		}
		return list
	}
	return attributes(f.Fields, v)
}
