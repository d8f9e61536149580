package resource

import (
	"encoding"
	"reflect"
)

// Value returns an attribute of a resource of this kind as a value of JSON; ok is false when the kind has no such key, or the
// resource stands in for one that could not be made.
// What is not set is nil.
func (k Kind) Value(res Resource, key string) (value any, ok bool) {
	f, ok := k.Field(key)
	if !ok || !k.made(res) {
		return nil, false
	}
	return plainValue(reflect.ValueOf(res).Elem().Field(f.index)), true
}

func plainValue(v reflect.Value) any {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		if text, err := m.MarshalText(); err == nil {
			return string(text)
		}
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Int, reflect.Int64:
		return float64(v.Int())
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = plainValue(v.Index(i))
		}
		return list
	case reflect.Map:
		m := make(map[string]any, v.Len())
		for _, key := range v.MapKeys() {
			m[key.String()] = plainValue(v.MapIndex(key))
		}
		return m
	}
	return v.Interface()
}
