package hosttest

import (
	"encoding/json"
	"slices"
	"strings"
)

// dot stands for a "." in a key, as the parts of a path are parted by it.
const dot = "\x1f"

// fieldsOf are the paths of all that an object sets, but for what names it. A list is one field.
func fieldsOf(object map[string]any, at string) []string {
	var fields []string
	for _, key := range sortedKeys(object) {
		full := at + "." + strings.ReplaceAll(key, ".", dot)
		switch inner, isMap := object[key].(map[string]any); {
		case slices.Contains([]string{".apiVersion", ".kind", ".metadata.name", ".metadata.namespace"}, full):
		case isMap && len(inner) > 0:
			fields = append(fields, fieldsOf(inner, full)...)
		default:
			fields = append(fields, full)
		}
	}
	return fields
}

// step returns the object that holds the last part of a path, and that part.
func step(object map[string]any, field string, create bool) (map[string]any, string) {
	parts := strings.Split(strings.TrimPrefix(field, "."), ".")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(part, dot, ".")
	}
	for _, part := range parts[:len(parts)-1] {
		inner, ok := object[part].(map[string]any)
		if !ok {
			if !create {
				return nil, ""
			}
			inner = map[string]any{}
			object[part] = inner
		}
		object = inner
	}
	return object, parts[len(parts)-1]
}

func valueAt(object map[string]any, field string) any {
	holder, key := step(object, field, false)
	return holder[key]
}

func setAt(object map[string]any, field string, value any) {
	holder, key := step(object, field, true)
	holder[key] = value
}

func dropAt(object map[string]any, field string) {
	if holder, key := step(object, field, false); holder != nil {
		delete(holder, key)
	}
}

// managersOf reads who owns which field.
func managersOf(object map[string]any) map[string][]string {
	managers := map[string][]string{}
	list, _ := valueAt(object, ".metadata.managedFields").([]any)
	for _, item := range list {
		var one struct {
			Manager  string
			FieldsV1 map[string]any
		}
		copyJSON(item, &one)
		managers[one.Manager] = slices.Concat(managers[one.Manager], ownedOf(one.FieldsV1, ""))
	}
	return managers
}

// ownedOf reads fieldsV1: {"f:spec":{"f:replicas":{}}}.
func ownedOf(fields map[string]any, at string) []string {
	var all []string
	for _, key := range sortedKeys(fields) {
		full := at + "." + strings.ReplaceAll(strings.TrimPrefix(key, "f:"), ".", dot)
		if inner, _ := fields[key].(map[string]any); len(inner) > 0 {
			all = append(all, ownedOf(inner, full)...)
		} else {
			all = append(all, full)
		}
	}
	return all
}

func managedFields(managers map[string][]string) []any {
	var list []any
	for _, name := range sortedKeys(managers) {
		if len(managers[name]) == 0 {
			continue
		}
		fields := map[string]any{}
		for _, f := range managers[name] {
			setAt(fields, strings.ReplaceAll(f, ".", ".f:"), map[string]any{})
		}
		list = append(list, map[string]any{"manager": name, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields})
	}
	return list
}

func jsonOf(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("hosttest: a value cannot be rendered: " + err.Error())
	}
	return text
}

func copyJSON(from, to any) {
	if err := json.Unmarshal(jsonOf(from), to); err != nil {
		panic("hosttest: a value cannot be read: " + err.Error())
	}
}
