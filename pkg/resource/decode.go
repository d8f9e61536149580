package resource

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/fault"
)

// A ValueDecoder reads an attribute from the value as written, where more than one form is allowed. It does no I/O.
type ValueDecoder interface{ DecodeValue(raw any) error }

var valueDecoder = reflect.TypeFor[ValueDecoder]()

var textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()

// Decode makes a resource of its identity and attributes: strict keys, then types and tags, then Validate. It returns
// all problems, each with the path of the attribute and no position. Attribute values are those of JSON: string,
// bool, float64, int, int64, []any, map[string]any, nil.
func (k Kind) Decode(identity string, attrs map[string]any) (Resource, fault.Problems) {
	v := reflect.New(k.typ)
	d := decoder{}
	v.Elem().Field(k.Fields[k.ident].index).SetString(identity)
	if identity == "" {
		d.fail("", "missing-key", "a "+k.Name+" needs an identity", "")
	}
	d.fields(v.Elem(), k.Fields, attrs, "", k.Name)
	res := v.Interface().(Resource)
	if len(d.problems) == 0 {
		if val, ok := res.(Validator); ok {
			if err := val.Validate(); err != nil {
				d.problems = append(d.problems, problemOf(err))
			}
		}
	}
	if len(d.problems) > 0 {
		return nil, d.problems
	}
	return res, nil
}

// Check finds what is wrong with a declaration before its templates can be rendered: unknown and missing keys, and
// wrong types of constant values. A value for which dynamic returns true is not looked into.
func (k Kind) Check(identity string, attrs map[string]any, dynamic func(any) bool) fault.Problems {
	d := decoder{dynamic: dynamic}
	v := reflect.New(k.typ)
	d.fields(v.Elem(), k.Fields, attrs, "", k.Name)
	if len(d.problems) == 0 && !d.skipped && !dynamic(identity) {
		v.Elem().Field(k.Fields[k.ident].index).SetString(identity)
		if val, ok := v.Interface().(Validator); ok {
			if err := val.Validate(); err != nil {
				d.problems = append(d.problems, problemOf(err))
			}
		}
	}
	return d.problems
}

func problemOf(err error) fault.Problem {
	return fault.Problem{Msg: err.Error(), Hint: first(fault.Hints(err)), Code: "invalid"}
}

func first(hints []string) string {
	if len(hints) == 0 {
		return ""
	}
	return hints[0]
}

type decoder struct {
	dynamic  func(any) bool
	skipped  bool // a dynamic value was passed over
	problems fault.Problems
}

func (d *decoder) fail(path, code, msg, hint string) {
	d.problems = append(d.problems, fault.Problem{Path: path, Msg: msg, Hint: hint, Code: code})
}

func (d *decoder) fields(v reflect.Value, fields []Field, attrs map[string]any, path, kind string) {
	known := 0
	for _, f := range fields {
		if f.Identity {
			continue
		}
		raw, given := attrs[f.Key]
		if given {
			known++
		}
		if !given || raw == nil {
			if f.Required {
				d.fail(path, "missing-key", fmt.Sprintf("%s needs the key %q", kind, f.Key), "")
			}
			continue
		}
		at := join(path, f.Key)
		if d.dynamic != nil && d.dynamic(raw) {
			d.skipped = true
			continue
		}
		before := len(d.problems)
		d.value(v.Field(f.index), f, raw, at)
		if len(f.Enum) > 0 && len(d.problems) == before {
			d.enum(v.Field(f.index), f, at)
		}
	}
	if known < len(attrs) {
		d.unknown(fields, attrs, path)
	}
}

// unknown tells of the keys that no field has.
func (d *decoder) unknown(fields []Field, attrs map[string]any, path string) {
	for key := range attrs {
		if slices.ContainsFunc(fields, func(f Field) bool { return f.Key == key && !f.Identity }) {
			continue
		}
		hint := fault.DidYouMean(key, keysOf(fields))
		if hint == "" {
			hint = "known keys: " + strings.Join(keysOf(fields), ", ")
		}
		d.fail(join(path, key), "unknown-key", fmt.Sprintf("unknown key %q", key), hint)
	}
}

func (d *decoder) enum(v reflect.Value, f Field, at string) {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	got := v.String()
	if v.Kind() != reflect.String {
		got = fmt.Sprint(v.Interface())
	}
	if !slices.Contains(f.Enum, got) {
		hint := fault.DidYouMean(got, f.Enum)
		d.fail(at, "bad-enum", fmt.Sprintf("%q is not one of %s", got, strings.Join(f.Enum, ", ")), hint)
	}
}

func (d *decoder) value(v reflect.Value, f Field, raw any, at string) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	if v.Type().PkgPath() == "" { // of Go itself, without methods
		d.plain(v, f, raw, at)
		return
	}
	if v.Addr().Type().Implements(valueDecoder) {
		if err := v.Addr().Interface().(ValueDecoder).DecodeValue(raw); err != nil {
			d.fail(at, "bad-value", err.Error(), first(fault.Hints(err)))
		}
		return
	}
	if v.Addr().Type().Implements(textUnmarshaler) {
		d.text(v, raw, at)
		return
	}
	d.plain(v, f, raw, at)
}

// plain reads a value as its kind alone says.
func (d *decoder) plain(v reflect.Value, f Field, raw any, at string) {
	switch v.Kind() {
	case reflect.String:
		s, ok := raw.(string)
		if !ok {
			d.fail(at, "wrong-type", fmt.Sprintf("want a string, got %s", Describe(raw)), quoteHint(raw))
			return
		}
		v.SetString(s)
	case reflect.Bool:
		b, ok := raw.(bool)
		if !ok {
			d.fail(at, "wrong-type", fmt.Sprintf("want true or false, got %s", Describe(raw)), boolHint(raw))
			return
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, ok := integer(raw)
		if !ok {
			d.fail(at, "wrong-type", fmt.Sprintf("want a whole number, got %s", Describe(raw)), numberHint(raw))
			return
		}
		v.SetInt(n)
	case reflect.Slice:
		d.list(v, f, raw, at)
	case reflect.Map:
		d.mapping(v, f, raw, at)
	case reflect.Struct:
		m, ok := raw.(map[string]any)
		if !ok {
			d.fail(at, "wrong-type", fmt.Sprintf("want a mapping, got %s", Describe(raw)), "")
			return
		}
		d.fields(v, f.Fields, m, at, f.Key)
	case reflect.Interface:
		if raw != nil {
			v.Set(reflect.ValueOf(raw))
		}
	default:
		panic(fmt.Sprintf("resource: field %s: cannot decode into %s", f.Name, v.Type()))
	}
}

func (d *decoder) text(v reflect.Value, raw any, at string) {
	s, ok := raw.(string)
	if !ok {
		d.fail(at, "wrong-type", fmt.Sprintf("want a quoted string, got %s", Describe(raw)), quoteHint(raw))
		return
	}
	if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
		d.fail(at, "bad-value", err.Error(), "")
	}
}

func (d *decoder) list(v reflect.Value, f Field, raw any, at string) {
	items, ok := raw.([]any)
	if !ok {
		d.fail(at, "wrong-type", fmt.Sprintf("want a list, got %s", Describe(raw)), listHint(f.Key, raw))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	for i, item := range items {
		at := at + "[" + strconv.Itoa(i) + "]"
		if d.dynamic != nil && d.dynamic(item) {
			d.skipped = true
			continue
		}
		d.value(v.Index(i), f, item, at)
	}
}

func (d *decoder) mapping(v reflect.Value, f Field, raw any, at string) {
	m, ok := raw.(map[string]any)
	if !ok {
		d.fail(at, "wrong-type", fmt.Sprintf("want a mapping, got %s", Describe(raw)), "")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(m)))
	for key, item := range m {
		at := join(at, key)
		if d.dynamic != nil && d.dynamic(item) {
			d.skipped = true
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(elem, f, item, at)
		v.SetMapIndex(reflect.ValueOf(key), elem)
	}
}

func integer(raw any) (int64, bool) {
	switch n := raw.(type) {
	case int:
		return int64(n), true
	case int64:
		return n, true
	case float64:
		return int64(n), n == math.Trunc(n) && math.Abs(n) < 1<<53
	}
	return 0, false
}

// Describe names a value of JSON for an error message: `the number 420`, `a list`.
func Describe(raw any) string {
	switch v := raw.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the string %q", v)
	case bool:
		return fmt.Sprintf("%t", v)
	case int, int64, float64:
		return fmt.Sprintf("the number %v", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return fmt.Sprintf("%T", raw)
}

func quoteHint(raw any) string {
	switch raw.(type) {
	case int, int64, float64, bool:
		return "put it in quotes"
	}
	return ""
}

// numberHint is for a number that was written as text.
func numberHint(raw any) string {
	text, ok := raw.(string)
	if n, err := strconv.ParseInt(text, 10, 64); ok && err == nil {
		return fmt.Sprintf("write %d, without quotes", n)
	}
	return ""
}

// boolHint is for the words that YAML 1.1 took for true and false, and what others write.
func boolHint(raw any) string {
	switch strings.ToLower(fmt.Sprint(raw)) {
	case "yes", "on", "true", "1":
		return "write true, without quotes"
	case "no", "off", "false", "0":
		return "write false, without quotes"
	}
	return ""
}

// listHint says how a list is written; of a command that was given as one string, it writes it.
func listHint(key string, raw any) string {
	text, ok := raw.(string)
	if !ok || key != "command" && key != "unless" && key != "only_if" {
		return "write it as [a, b] or one \"- item\" a line"
	}
	words := strings.Fields(text)
	if strings.ContainsAny(text, "|&;<>()$`*?[]{}#~'\"\\,:\n") || len(words) == 0 || len(text) > 100 {
		return `write a program and its arguments as [a, b]; for what needs a shell, [sh, -c, "…"]`
	}
	return "write [" + strings.Join(words, ", ") + "]"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
