package resources

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A manifest of several objects is read as kubectl reads it: a date without quotes is text.
func TestManifestIsReadAsTheClusterDoes(t *testing.T) {
	t.Parallel()
	objects, err := parseManifest([]byte("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {since: 2026-01-02, n: 0x10, b: true}\n---\n# nothing\n---\n" +
		"apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(objects)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"b"}},` +
		`{"apiVersion":"v1","data":{"b":true,"n":16,"since":"2026-01-02"},"kind":"ConfigMap","metadata":{"name":"a"}}]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: 2026-01-02}\n")
	f.Add("a: &a [*a]\n---\n? {a: b}\n: c\n")
	f.Fuzz(func(t *testing.T, text string) {
		objects, err := parseManifest([]byte(text))
		if err != nil && objects != nil {
			t.Errorf("objects, and the error %v", err)
		}
		for _, o := range objects {
			if len(o.differences(o, o)) > 0 {
				t.Errorf("%v differs from itself", o)
			}
		}
	})
}

func FuzzImageReference(f *testing.F) {
	f.Add("docker.io/library/nginx:1.27")
	f.Add("[::1]:5000/a@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseImage(text)
		if err != nil {
			return
		}
		back := r.repository
		if r.tag != "" {
			back += ":" + r.tag
		}
		if r.digest != "" {
			back += "@" + r.digest
		}
		if back != text {
			t.Errorf("%q was read as %q", text, back)
		}
	})
}

func FuzzPublishedPort(f *testing.F) {
	f.Add("127.0.0.1:8000-8010:80-90/udp")
	f.Add("[::1]::80")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePublished(text)
		if err == nil && (p.count < 1 || p.inside < 1 || p.inside+p.count > 65536 || p.outside+p.count > 65536) {
			t.Errorf("%q was read as %+v", text, p)
		}
	})
}
