package api

import (
	"encoding"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
)

// OpenAPI is the description of what people and programs of theirs can ask, as an OpenAPI 3.1 document. Times are RFC 3339,
// durations nanoseconds. See https://spec.openapis.org/oas/v3.1.0.
func OpenAPI() map[string]any { return (&server{}).describe() }

func (s *server) openAPI(http.ResponseWriter, *http.Request) (any, error) {
	return s.describe(), nil
}

// asked says whether a route is for people and programs of theirs: nodes, hubs and controllers bring their client with them.
func (r route) asked() bool {
	return !slices.Contains([]string{"token", "node", "hub", "publisher"}, r.who)
}

func (s *server) describe() map[string]any {
	d := describer{schemas: map[string]any{}, types: map[string]reflect.Type{}}
	paths := map[string]any{}
	for _, r := range s.routes() {
		if !r.asked() {
			continue
		}
		method, path, _ := strings.Cut(r.pattern, " ")
		at, _ := paths[path].(map[string]any)
		if at == nil {
			at = map[string]any{}
			paths[path] = at
		}
		at[strings.ToLower(method)] = d.operation(r, path)
	}
	return map[string]any{
		"openapi": "3.1.0",
		"info": map[string]any{"title": "Vigo report service", "version": "1",
			"description": "What the command line asks. Times are RFC 3339, durations are nanoseconds; unknown keys are to be ignored."},
		"paths": paths,
		"components": map[string]any{"schemas": d.schemas, "securitySchemes": map[string]any{
			"token":       map[string]any{"type": "http", "scheme": "bearer", "description": "token of an operator"},
			"certificate": map[string]any{"type": "mutualTLS", "description": "client certificate of an operator"}}},
	}
}

// describer collects the schemas of types.
type describer struct {
	schemas map[string]any
	types   map[string]reflect.Type
}

// name is that of the schema of a struct: that of the type, and of two that have the same one, with its package.
func (d *describer) name(t reflect.Type) string {
	name := t.Name()
	if of, taken := d.types[name]; taken && of != t {
		at := strings.LastIndexByte(t.PkgPath(), '/') + 1
		name = strings.ToUpper(t.PkgPath()[at:at+1]) + t.PkgPath()[at+1:] + name
	}
	return name
}

func (d *describer) operation(r route, path string) map[string]any {
	method, _, _ := strings.Cut(r.pattern, " ")
	refusal := map[string]any{"description": "refused; retry is in nanoseconds", "content": content(d.schema(reflect.TypeFor[struct {
		Error *Error `json:"error"`
	}]()))}
	o := map[string]any{
		"summary":     r.about,
		"operationId": strings.ToLower(method) + strings.NewReplacer("/v1/", "-", "/", "-", "{", "", "}", "", ".", "-").Replace(path),
		"responses":   map[string]any{"200": d.answer(r.out), "default": refusal},
	}
	if r.who != "nobody" {
		o["security"] = []map[string]any{{"token": []string{}}, {"certificate": []string{}}}
		o["description"] = "Needs the role " + r.who + " or one that may do more."
		if r.who == "anyone" {
			o["description"] = "For every role."
		}
	}
	params := []map[string]any{}
	for _, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			params = append(params, map[string]any{"name": strings.TrimSuffix(name, "}"), "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
	}
	for _, p := range r.params {
		schema := map[string]any{"type": "string"}
		if p.many {
			schema = map[string]any{"type": "array", "items": schema}
		}
		params = append(params, map[string]any{"name": p.name, "in": "query", "description": p.about, "schema": schema})
	}
	if len(params) > 0 {
		o["parameters"] = params
	}
	if r.in != nil {
		o["requestBody"] = map[string]any{"required": true, "content": content(d.schema(reflect.TypeOf(r.in)))}
	}
	return o
}

func (d *describer) answer(out any) map[string]any {
	if out == nil {
		return map[string]any{"description": "done", "content": content(map[string]any{"type": "object"})}
	}
	return map[string]any{"description": "the answer", "content": content(d.schema(reflect.TypeOf(out)))}
}

func content(schema map[string]any) map[string]any {
	return map[string]any{"application/json": map[string]any{"schema": schema}}
}

// schema is that of a Go type as encoding/json writes it. Structs with a name are kept once.
func (d *describer) schema(t reflect.Type) map[string]any {
	switch t {
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "integer", "format": "int64", "description": "nanoseconds"}
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	}
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return map[string]any{"type": "string", "contentEncoding": "base64"}
		}
		return map[string]any{"type": []string{"array", "null"}, "items": d.schema(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.object(t)
	}
	return map[string]any{} // any
}

func (d *describer) object(t reflect.Type) map[string]any {
	name := d.name(t)
	ref := map[string]any{"$ref": "#/components/schemas/" + name}
	if name != "" {
		if _, known := d.types[name]; known {
			return ref
		}
		d.types[name] = t // before its fields: a type may hold itself
	}
	properties, required := map[string]any{}, []string{}
	d.fields(t, properties, &required)
	schema := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		slices.Sort(required)
		schema["required"] = required
	}
	if name == "" {
		return schema
	}
	d.schemas[name] = schema
	return ref
}

func (d *describer) fields(t reflect.Type, properties map[string]any, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			d.fields(f.Type, properties, required)
			continue
		case !f.IsExported() || name == "-" || name == "":
			continue
		}
		properties[name] = d.schema(f.Type)
		if options == "" {
			*required = append(*required, name)
		}
	}
}
