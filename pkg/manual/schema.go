package manual

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"vigo.dev/pkg/resource"
)

// A Key is an attribute that every resource has.
type Key struct {
	Key, Doc string
	list     bool
	kind     string // JSON type, if it is not a list
}

// Common returns the attributes of every resource, beside those of its kind.
func Common() []Key {
	return []Key{
		{Key: "when", Doc: "condition under which the resource applies to a node", kind: "condition"},
		{Key: "foreach", Doc: "list or mapping for each item of which there is such a resource, seen as item and key", kind: "items"},
		{Key: "requires", Doc: "references of resources that must have succeeded before", list: true},
		{Key: "before", Doc: "references of resources that come after", list: true},
		{Key: "notify", Doc: "references of resources to refresh when this one has changed", list: true},
		{Key: "subscribe", Doc: "references of resources whose change refreshes this one", list: true},
		{Key: "audit", Doc: "report drift and change nothing", kind: "boolean"},
		{Key: "sensitive", Doc: "never show values or diffs", kind: "boolean"},
		{Key: "controls", Doc: "compliance controls that the resource serves", list: true},
		{Key: "tags", Doc: "free words to select resources by", list: true},
		{Key: "id", Doc: "short name for references", kind: "string"},
		{Key: "about", Doc: "what the resource is for", kind: "string"},
		{Key: "timeout", Doc: "how long looking and changing may take together, such as 5m", kind: "string"},
		{Key: "retries", Doc: "how often a change that failed is tried again", kind: "integer"},
		{Key: "window", Doc: "name of the window of fleet.yaml outside of which nothing is changed; always: none", kind: "string"},
		{Key: "guard", Doc: "takes a change back unless a check-in succeeds after it, within timeout (5m)", kind: "guard"},
	}
}

// commonOf are those of a type: not every one can be guarded.
func commonOf(k resource.Kind) []Key {
	return slices.DeleteFunc(Common(), func(c Key) bool { return c.kind == "guard" && !k.Revertible() })
}

type object = map[string]any

// resources returns the schemas of all types by name, and that of one entry under resources of a module, which refers to
// them. Which type an entry has is the first of its keys, which a schema cannot say: it must fit any of them.
func (m *Manual) resources() (definitions, entry object, err error) {
	definitions = object{}
	var any []object
	for _, name := range m.reg.Names() {
		k, _ := m.reg.Kind(name)
		s := m.structSchema(k.Type(), k.Fields)
		s["description"] = strings.TrimSpace(m.docs[k.Type().Name()].text)
		properties := s["properties"].(object)
		for _, c := range commonOf(k) {
			if _, own := properties[c.Key]; own {
				return nil, nil, fmt.Errorf("kind %s: the attribute %s is one that every resource has", name, c.Key)
			}
			properties[c.Key] = c.schema()
		}
		definitions[name] = s
		any = append(any, object{"$ref": "#/definitions/" + name})
	}
	return definitions, object{"title": "Vigo resource", "type": "object", "anyOf": any}, nil
}

func (c Key) schema() object {
	switch {
	case c.list:
		return listOrOne(c.Doc)
	case c.kind == "items":
		return says(object{"type": []string{"array", "object", "string"}}, c.Doc)
	case c.kind == "condition":
		return condition(c.Doc)
	case c.kind == "guard":
		return strict([]string{"confirm"}, object{
			"confirm": says(object{"enum": []string{"checkin"}}, "What proves that the host can still be reached."),
			"timeout": says(object{"type": "string"}, "How long a check-in may take, from 10s to 24h; 5m if it is not given."),
		}, c.Doc)
	}
	return says(object{"type": c.kind}, c.Doc)
}

func (m *Manual) structSchema(typ reflect.Type, fields []resource.Field) object {
	properties, required := object{}, []string{}
	for _, f := range fields {
		s := m.typeSchema(f, f.Type)
		s["description"] = strings.TrimSpace(m.docs[typ.Name()].fields[f.Name])
		properties[f.Key] = s
		if f.Required {
			required = append(required, f.Key)
		}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// typeSchema describes the values of an attribute, or of the entries of a list.
func (m *Manual) typeSchema(f resource.Field, t reflect.Type) object {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	str := object{"type": "string"}
	switch t {
	case reflect.TypeFor[resource.Mode]():
		return orTemplate(object{"type": "string", "pattern": "^[0-7]{3,4}$"})
	case reflect.TypeFor[resource.Duration]():
		return str
	case reflect.TypeFor[resource.Argv]():
		return object{"anyOf": []object{str, {"type": "array", "items": str, "minItems": 1}}}
	case reflect.TypeFor[resource.DataPath]():
		return object{"anyOf": []object{str, {"type": "array", "items": object{"type": []string{"string", "integer"}}}}}
	}
	switch t.Kind() {
	case reflect.String:
		if len(f.Enum) > 0 {
			return orTemplate(object{"enum": f.Enum})
		}
		return str
	case reflect.Bool:
		return orTemplate(object{"type": "boolean"})
	case reflect.Int, reflect.Int64:
		return orTemplate(object{"type": "integer"})
	case reflect.Slice:
		return orTemplate(object{"type": "array", "items": m.typeSchema(f, t.Elem())})
	case reflect.Map:
		return orTemplate(object{"type": "object", "additionalProperties": m.typeSchema(f, t.Elem())})
	case reflect.Struct:
		if f.Fields != nil {
			return m.structSchema(t, f.Fields)
		}
		return str
	}
	return object{}
}

// orTemplate allows a template in place of a value that is no string.
func orTemplate(s object) object {
	return object{"anyOf": []object{s, {"type": "string", "pattern": `\{\{`}}}
}
