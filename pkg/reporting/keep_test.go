package reporting

import (
	"reflect"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// Whatever of an account changes is kept, but for what changes with every check-in. Every field is tried, also those that
// will be added.
func TestSameAs(t *testing.T) {
	t.Parallel()
	every := map[string]bool{"Last.Seq": true, "Last.Age": true, "Last.Run.ID": true, "Last.Run.Started": true, "Last.Run.Took": true, "Heard": true, "Whole": true}
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
		if same := a.sameAs(&b); same != every[path] {
			t.Errorf("%s is another: the same: %v", path, same)
		}
		if !b.sameAs(&b) && path != "Report.Seen" { // which is never kept
			t.Errorf("%s: an account differs from itself", path)
		}
	}
	try("", nil, reflect.TypeFor[account]())
	a := account{Reason: "a run failed", Whole: time.Unix(1, 0)}
	if b := (account{Reason: "a run failed", Whole: time.Unix(2, 0)}); a.sameAs(&b) {
		t.Error("a failure of another run is the same")
	}
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
	case reflect.Bool:
		v.SetBool(true)
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

// A node that says the same again is written without its account, which is good enough after a restart: it was heard of then,
// what it enforces and how it is are known, its requests cannot come again, and a failure is not counted twice.
func TestSaysTheSame(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	say := func(seq int64, run string, counts report.Counts) {
		t.Helper()
		must(t, r.Accept("web-1", seq))
		r.checkIn(t, report.CheckIn{Node: "web-1", Seq: seq, Agent: "1", Channel: "stable", Pointer: "1.1", Bundle: "sha256:a", Run: report.Summary{ID: run, Started: r.Now(), Counts: counts}})
	}
	say(1, "a", report.Counts{OK: 9, Failed: 1})
	written := r.nodes["web-1"].written
	r.pass(half)
	say(2, "b", report.Counts{OK: 9, Failed: 1})
	if again := r.nodes["web-1"].written; again.Equal(written) {
		t.Error("a second failure in a row was not written")
	}
	r.pass(half)
	say(3, "c", report.Counts{OK: 10})
	written = r.nodes["web-1"].written
	for seq := range int64(3) {
		r.pass(half)
		say(4+seq, "d", report.Counts{OK: 10})
	}
	if again := r.nodes["web-1"].written; !again.Equal(written) {
		t.Error("what was said before was written again")
	}
	heard := r.Now()
	r.restart(t, half)
	n := r.node(t, "web-1")
	if !n.Seen.Equal(heard) || n.Compliance != report.ComplianceOK || n.Failing != 0 || n.Bundle != "sha256:a" || n.Pointer != "1.1" {
		t.Errorf("after a restart: %+v", n.NodeStatus)
	}
	if err := r.Accept("web-1", 6); err == nil {
		t.Error("a request that was seen before the restart is accepted after it")
	}
	r.pass(rewrite)
	written = r.nodes["web-1"].written
	say(7, "e", report.Counts{OK: 10})
	if again := r.nodes["web-1"].written; !again.Equal(r.Now()) {
		t.Errorf("after %s it was written at %s, before at %s", rewrite, again, written)
	}
}
