package resource

import (
	"fmt"
	"reflect"
	"sort"
	"strings"
)

// A Kind is a resource type as the policy language sees it.
type Kind struct {
	Name   string // the key in a policy, such as "file"
	Fields []Field
	typ    reflect.Type // the struct
	ident  int          // index of the identity field in Fields
}

// A Field is one key of a kind, or of a mapping nested in it.
type Field struct {
	Key      string // as written in a policy; for the identity, the name of the kind
	Name     string // of the Go field, under which its doc comment is found
	Identity bool   // is the value of the first key
	Required bool
	Secret   bool // value is never shown
	Argv     bool // becomes the arguments of a program, which everybody on the host can see
	Enum     []string
	Type     reflect.Type
	Fields   []Field // of a struct, or of the elements of a list of structs
	index    int
}

// KindOf makes a kind of a struct. The struct has exactly one field tagged `vigo:"identity"`, of type string; every
// other exported field has a yaml tag. A mistake in the struct is a programmer's and panics at start.
//
// The vigo tag is a comma-separated list of: identity, required, secret, argv, enum=a|b|c. A
// field of type [Argv] is argv by itself.
func KindOf[T any, P interface {
	*T
	Resource
}](name string) Kind {
	typ := reflect.TypeFor[T]()
	k := Kind{Name: name, typ: typ, ident: -1, Fields: fieldsOf(typ, name)}
	for i, f := range k.Fields {
		if !f.Identity {
			if f.Key == name {
				panic(fmt.Sprintf("resource: kind %s: field %s has the key of the identity", name, f.Name))
			}
			continue
		}
		if k.ident >= 0 || f.Type.Kind() != reflect.String {
			panic(fmt.Sprintf("resource: kind %s: want exactly one identity field, a string", name))
		}
		k.ident = i
		k.Fields[i].Key = name
	}
	if k.ident < 0 {
		panic(fmt.Sprintf("resource: kind %s has no identity field", name))
	}
	return k
}

func fieldsOf(typ reflect.Type, kind string) []Field {
	var fields []Field
	for i := range typ.NumField() {
		sf := typ.Field(i)
		if !sf.IsExported() {
			continue
		}
		f := Field{Name: sf.Name, Key: sf.Tag.Get("yaml"), Type: sf.Type, Argv: sf.Type == reflect.TypeFor[Argv](), index: i}
		for tag := range strings.SplitSeq(sf.Tag.Get("vigo"), ",") {
			word, value, _ := strings.Cut(tag, "=")
			switch word {
			case "":
			case "identity":
				f.Identity, f.Required = true, true
			case "required":
				f.Required = true
			case "secret":
				f.Secret = true
			case "argv":
				f.Argv = true
			case "enum":
				f.Enum = strings.Split(value, "|")
			default:
				panic(fmt.Sprintf("resource: kind %s: field %s: unknown tag %q", kind, sf.Name, word))
			}
		}
		if f.Key == "-" {
			continue
		}
		if f.Key == "" && !f.Identity {
			panic(fmt.Sprintf("resource: kind %s: field %s has no yaml tag", kind, sf.Name))
		}
		if elem := structOf(sf.Type); elem != nil {
			f.Fields = fieldsOf(elem, kind)
		}
		fields = append(fields, f)
	}
	return fields
}

// structOf returns the struct behind a struct, pointer to struct, or list of either, if it is decoded key by key.
func structOf(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		if reflect.PointerTo(t).Implements(valueDecoder) {
			return nil
		}
		t = t.Elem()
	}
	if t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(textUnmarshaler) {
		return t
	}
	return nil
}

// Type returns the struct of the kind.
func (k Kind) Type() reflect.Type { return k.typ }

// Revertible says whether resources of the kind can be guarded, as a rule; see [Revertible].
func (k Kind) Revertible() bool {
	r, can := reflect.New(k.typ).Interface().(Revertible)
	return can && r.Revertible() == nil
}

// Field returns the field with a key.
func (k Kind) Field(key string) (Field, bool) {
	for _, f := range k.Fields {
		if f.Key == key {
			return f, true
		}
	}
	return Field{}, false
}

// Keys returns the keys of the kind without its identity, sorted.
func (k Kind) Keys() []string { return keysOf(k.Fields) }

func keysOf(fields []Field) []string {
	var keys []string
	for _, f := range fields {
		if !f.Identity {
			keys = append(keys, f.Key)
		}
	}
	sort.Strings(keys)
	return keys
}

// A Registry is the kinds a program knows.
type Registry struct{ kinds map[string]Kind }

// NewRegistry makes a registry. Two kinds of one name are a programmer's mistake and panic.
func NewRegistry(kinds ...Kind) *Registry {
	r := &Registry{kinds: make(map[string]Kind, len(kinds))}
	for _, k := range kinds {
		if _, twice := r.kinds[k.Name]; twice {
			panic("resource: two kinds named " + k.Name)
		}
		r.kinds[k.Name] = k
	}
	return r
}

// Kind returns a kind by name.
func (r *Registry) Kind(name string) (Kind, bool) {
	k, ok := r.kinds[name]
	return k, ok
}

// Names returns the names of all kinds, sorted.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.kinds))
	for name := range r.kinds {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
