package manual

import (
	"encoding/json"
	"fmt"
	"strings"

	"vigo.dev/pkg/fault"
)

const draft = "http://json-schema.org/draft-07/schema#" // the draft that editors know best

// Documents returns the names of what there are schemas of: the kinds of documents in a policy repository, and one
// resource.
func Documents() []string {
	return []string{"fleet", "module", "role", "test", "alert", "alerttest", "rollout", "resource"}
}

// DocumentSchema returns the JSON Schema of one kind of document, by a name of [Documents]. With no name it is that of
// any of them, told apart by the key "kind", so that an editor needs one schema for a whole repository.
func (m *Manual) DocumentSchema(name string) ([]byte, error) {
	definitions, resource, err := m.resources()
	if err != nil {
		return nil, err
	}
	documents := map[string]object{"fleet": fleetSchema(), "module": moduleSchema(resource), "role": roleSchema(), "test": testSchema(), "alert": alertSchema(), "alerttest": alertTestSchema(), "rollout": rolloutSchema()}
	var s object
	switch {
	case name == "":
		s = anyDocument(documents)
	case name == "resource":
		s = resource
	case documents[name] != nil:
		s = documents[name]
	default:
		hint := fault.DidYouMean(name, Documents())
		if hint == "" {
			hint = "there are " + strings.Join(Documents(), ", ")
		}
		return nil, fault.WithHint(fmt.Errorf("there is no schema of %q", name), hint)
	}
	s["$schema"] = draft
	if name == "" || name == "module" || name == "resource" {
		s["definitions"] = definitions
	}
	return json.MarshalIndent(s, "", "  ")
}

// anyDocument applies the schema of a document by its kind, so that an editor tells what is wrong with that kind.
func anyDocument(documents map[string]object) object {
	var kinds, rules []any
	for _, name := range Documents() {
		d, ok := documents[name]
		if !ok {
			continue
		}
		kind := d["properties"].(object)["kind"]
		kinds = append(kinds, kind.(object)["const"])
		rules = append(rules, object{"if": object{"required": []string{"kind"}, "properties": object{"kind": kind}}, "then": d})
	}
	return object{"title": "Vigo policy document", "type": "object", "required": []string{"kind"},
		"properties": object{"kind": object{"enum": kinds}}, "allOf": rules}
}

// document is a schema with the keys that every document has.
func document(kind, about string, required []string, own object) object {
	own["kind"] = object{"const": kind, "description": "What this document is."}
	if kind != "Test" && kind != "AlertTest" {
		own["name"] = says(object{"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,62}$"}, "Name; that of the file if it is left out.")
	}
	own["about"] = says(object{"type": "string"}, "What it is for, in a sentence.")
	return object{"title": "Vigo " + kind, "description": about, "type": "object", "required": append([]string{"kind"}, required...),
		"properties": own, "additionalProperties": false}
}

func says(s object, what string) object {
	s["description"] = what
	return s
}

func boolean(what string) object { return says(object{"type": "boolean"}, what) }

// listOrOne is a list of strings, or a single one.
func listOrOne(what string) object {
	str := object{"type": "string"}
	return says(object{"anyOf": []object{str, {"type": "array", "items": str}}}, what)
}

// condition is an expression, or plainly true or false.
func condition(what string) object { return says(object{"type": []string{"string", "boolean"}}, what) }

func mapping(of object, what string) object {
	return says(object{"type": "object", "additionalProperties": of}, what)
}

// strict is a mapping with these keys only.
func strict(required []string, keys object, what string) object {
	s := object{"type": "object", "properties": keys, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return says(s, what)
}
