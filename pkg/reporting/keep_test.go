package reporting

import (
	"reflect"
	"testing"
	"time"
)

// Whatever of an account changes is kept, but for what changes with every check-in. Every field is tried, also those that
// will be added.
func TestSameAs(t *testing.T) {
	t.Parallel()
	every := map[string]bool{"Last.Seq": true, "Last.Age": true, "Last.Run.ID": true, "Last.Run.Started": true, "Last.Run.Took": true, "Heard": true}
	tried := map[string]bool{}
	var try func(path string, index []int, of reflect.Type)
	try = func(path string, index []int, of reflect.Type) {
		if of.Kind() == reflect.Struct && of != reflect.TypeFor[time.Time]() {
			for i := range of.NumField() {
				name := of.Field(i).Name
				if path != "" {
					name = path + "." + name
				}
				try(name, append(append([]int{}, index...), i), of.Field(i).Type)
			}
			return
		}
		var a, b account
		set(t, reflect.ValueOf(&b).Elem().FieldByIndex(index))
		tried[path] = true
		if same := a.sameAs(b); same != every[path] {
			t.Errorf("%s is another: the same: %v", path, same)
		}
		if !b.sameAs(b) && path != "Report.Seen" { // which is never kept
			t.Errorf("%s: an account differs from itself", path)
		}
	}
	try("", nil, reflect.TypeFor[account]())
	for path := range every {
		if !tried[path] {
			t.Errorf("there is no %s", path)
		}
	}
}

// set gives a field some value other than its zero.
func set(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Struct:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}
