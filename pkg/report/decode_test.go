package report

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// whole is a check-in that says all it can but refusals, which are rare.
func whole() CheckIn {
	return CheckIn{Node: "web-1", Seq: 7, Boot: "0123", Agent: "1.2.3", Interval: 30 * time.Second, Channel: "stable", Root: 2, Pointer: "1.7", Bundle: "sha256:11", Age: time.Minute, Adopting: "sha256:22",
		Run: Summary{ID: "0-1", Started: time.Date(2026, 11, 25, 12, 0, 0, 123456789, time.UTC), Took: 8 * time.Millisecond, Error: "why", Before: true,
			Counts: Counts{OK: 1, Changed: 2, Corrected: 3, Failed: 4, Skipped: 5, Drift: 6, Refreshed: 7, Waiting: 8}},
		Traits: "sha256:33", Facets: map[string]string{"os": "sha256:44", "cpu": "sha256:55"}, Spooled: 3, Hub: "plant", Pinned: true, Why: "INC-4711"}
}

// What agents write is read by hand, all of it, and read as encoding/json reads it. A field that is added and not read by hand makes the
// service slower by some microseconds for each check-in, and fails here.
func TestDecodeCheckIn(t *testing.T) {
	t.Parallel()
	want := whole()
	for _, v := range []reflect.Value{reflect.ValueOf(want), reflect.ValueOf(want.Run), reflect.ValueOf(want.Run.Counts)} {
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Refusals" {
				t.Errorf("%s is not tried", name)
			}
		}
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got CheckIn
	if !usualCheckIn(data, &got) || !reflect.DeepEqual(got, want) {
		t.Errorf("%s is read as %+v", data, got)
	}
	want.Refusals = []Refusal{{Name: "rollback", Detail: "ä", Count: 2}}
	if data, err = json.Marshal(want); err != nil {
		t.Fatal(err)
	}
	if err := DecodeCheckIn(data, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s is read as %+v, %v", data, got, err)
	}
}

// FuzzDecodeCheckIn: whatever comes is read, or refused, as encoding/json does.
func FuzzDecodeCheckIn(f *testing.F) {
	data, err := json.Marshal(whole())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, text := range []string{`{}`, `{"node":"a","node":"b"}`, `{"seq":01}`, `{"seq":-0}`, `{"seq":1e3}`, `{"seq":9223372036854775808}`, `{"NODE":"a"}`, `{"node":"\u0041"}`, `{"node":null}`,
		`{"run":{"counts":{"ok":1},"counts":{"ok":2}}}`, `{"facets":{}}`, `{"facets":{"a":"b","a":"c"}}`, `{"run":{"started":"2026-11-25T12:00:00+01:00"}}`, `{"run":{"started":""}}`, `{"new":1}`, `{"node":"a"}x`, `{"node" :"a"}`,
		`{"run":{"before":true}}`, `{"run":{"before":1}}`, "{\"node\":\"\xff\"}"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want CheckIn
		gotErr, wantErr := DecodeCheckIn(data, &got), json.Unmarshal(data, &want)
		if (gotErr == nil) != (wantErr == nil) || wantErr == nil && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v\nencoding/json: %+v, %v", data, got, gotErr, want, wantErr)
		}
	})
}

// BenchmarkDecodeCheckIn reads what a node says that is as it was.
func BenchmarkDecodeCheckIn(b *testing.B) {
	c := whole()
	c.Facets, c.Run.Before, c.Run.Error, c.Adopting, c.Spooled = nil, false, "", "", 0
	data, err := json.Marshal(c)
	if err != nil {
		b.Fatal(err)
	}
	for name, decode := range map[string]func([]byte, *CheckIn) error{"by hand": DecodeCheckIn, "encoding/json": func(data []byte, c *CheckIn) error { return json.Unmarshal(data, c) }} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var c CheckIn
				if err := decode(data, &c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
