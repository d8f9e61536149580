package trust_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

func newRoot(t testing.TB) trust.Root {
	t.Helper()
	r := trust.Root{Version: 1}
	r.Grant(trust.RoleRoot, 1, trust.Key{Public: newKey(t).Public()})
	r.Grant(trust.RoleBundle, 1, trust.Key{Public: newKey(t).Public(), NotBefore: noon, NotAfter: noon.Add(time.Hour)})
	r.Grant(trust.RoleChannel("main"), 2, trust.Key{Public: newKey(t).Public()}, trust.Key{Public: newKey(t).Public()})
	return r
}

func TestARootTravelsAsJSON(t *testing.T) {
	t.Parallel()
	want := newRoot(t)
	data, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := trust.ParseRoot(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Marshal()
	if err != nil || string(again) != string(data) {
		t.Errorf("%v: %s", err, cmp.Diff(string(data), string(again)))
	}
	wrapped, err := json.Marshal(struct{ Root trust.Root }{want})
	if err != nil {
		t.Fatal(err)
	}
	var back struct{ Root trust.Root }
	if err := json.Unmarshal(wrapped, &back); err != nil || back.Root.Version != 1 || len(back.Root.Keys) != 4 {
		t.Errorf("%v, %+v", err, back)
	}
}

func TestBadRootsAreRefused(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*trust.Root){
		"no version":     func(r *trust.Root) { r.Version = 0 },
		"huge version":   func(r *trust.Root) { r.Version = 1 << 60 },
		"no root role":   func(r *trust.Root) { delete(r.Roles, trust.RoleRoot) },
		"no bundle role": func(r *trust.Root) { delete(r.Roles, trust.RoleBundle) },
		"threshold 0":    func(r *trust.Root) { r.Roles[trust.RoleRoot] = trust.Role{Keys: r.Roles[trust.RoleRoot].Keys} },
		"threshold too high": func(r *trust.Root) {
			r.Roles[trust.RoleRoot] = trust.Role{Keys: r.Roles[trust.RoleRoot].Keys, Threshold: 2}
		},
		"one key counted twice": func(r *trust.Root) {
			k := r.Roles[trust.RoleRoot].Keys[0]
			r.Roles[trust.RoleRoot] = trust.Role{Keys: []string{k, k}, Threshold: 2}
		},
		"unlisted key": func(r *trust.Root) { r.Roles["task"] = trust.Role{Keys: []string{"x"}, Threshold: 1} },
		"strange role": func(r *trust.Root) { r.Roles["channel/../x"] = r.Roles[trust.RoleRoot] },
		"swapped key":  func(r *trust.Root) { r.Keys["x"] = r.Keys[r.Roles[trust.RoleRoot].Keys[0]] },
		"window ends first": func(r *trust.Root) {
			id := r.Roles[trust.RoleBundle].Keys[0]
			k := r.Keys[id]
			k.NotAfter = noon.Add(-time.Hour)
			r.Keys[id] = k
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRoot(t)
			edit(&r)
			wantRefusal(t, r.Validate(), bundle.BadFormat)
			if _, err := r.Marshal(); err == nil {
				t.Error("it is written")
			}
		})
	}
}

func TestRootDocumentsAreReadStrictly(t *testing.T) {
	t.Parallel()
	r := newRoot(t)
	data, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"unknown field": strings.Replace(string(data), `"format"`, `"threshold_off": true, "format"`, 1),
		"other format":  strings.Replace(string(data), `"format": 1`, `"format": 2`, 1),
		"trailing":      string(data) + "{}",
		"cut":           string(data[:len(data)/2]),
		"large":         string(data) + strings.Repeat(" ", 300<<10),
		"empty":         "",
	} {
		if _, err := trust.ParseRoot([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseRoot(f *testing.F) {
	r := newRoot(f)
	data, err := r.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"version":1,"keys":{},"roles":{}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := trust.ParseRoot(data)
		if err != nil {
			return
		}
		if _, err := r.Marshal(); err != nil {
			t.Fatal(err)
		}
	})
}
