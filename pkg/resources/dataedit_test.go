package resources

import (
	"encoding/json"
	"testing"

	"vigo.dev/pkg/resource"
)

// fuzzData edits documents twice: whatever the document, an edit is refused, or a second one has nothing to do.
func fuzzData(f *testing.F, make func(*dataEdit) resource.Resource) {
	f.Fuzz(func(t *testing.T, content, at, value string, how uint8) {
		path, err := resource.ParseDataPath(at)
		var v any
		if err != nil || json.Unmarshal([]byte(value), &v) != nil {
			return
		}
		d := &dataEdit{Name: "x", Path: "/etc/x", At: path}
		m, isMapping := v.(map[string]any)
		switch {
		case how&1 == 1:
			d.Ensure = "absent"
			if how&2 == 2 {
				d.Items = []any{v}
			}
		case how&2 == 2:
			d.Items = []any{v}
		case isMapping && how&4 == 4:
			d.Merge = m
		default:
			d.Value = v
		}
		if d.validate() != nil {
			return
		}
		planTwice(t, make(d), d.Path, content, func(string) bool { return false })
	})
}

func FuzzJSONTwice(f *testing.F) {
	f.Add("{\"a\": [1, 2,], // x\n \"b\": {}\n}", "a[0]", `{"x": [1]}`, uint8(0))
	f.Add("[{\"n\": \"x\"}]", "[n=x].y", `{"x": null}`, uint8(4))
	f.Add("{\"a\":1,\"b\":2}", "b", `1`, uint8(1))
	f.Add("[{\"n\": \"x\"}]", "[n=y]", `1`, uint8(2))
	f.Add("[{\"n\": \"x\"}]", "[n=x].n", `"y"`, uint8(0))
	fuzzData(f, func(d *dataEdit) resource.Resource { return (*JSON)(d) })
}

func FuzzYAMLTwice(f *testing.F) {
	f.Add("a:\n- b: 1 # x\n\n  c: |\n    t\n", "a[0].c", `"x\ny"`, uint8(0))
	f.Add("a: {b: [1, 'x']}\n---\n", "a.b", `"x"`, uint8(3))
	f.Add("a: &x\n  b: 1\nc:\n  <<: *x\n", "c.b", `{"b": [1]}`, uint8(4))
	fuzzData(f, func(d *dataEdit) resource.Resource { return (*YAML)(d) })
}

func FuzzTOMLTwice(f *testing.F) {
	f.Add("a.b = 1\n[c.d] # x\ne = \"\"\"\n[x]\"\"\"\n", "a.c", `[1, {"x": 1}]`, uint8(0))
	f.Add("[[a]]\nb = { c = 1 }\n[[a]]\n", "a[1]", `{"b": {"c": 2}}`, uint8(4))
	f.Add("[a]\n[a.b]\nc = [\n 1, # x\n]\n", "a", `1`, uint8(1))
	fuzzData(f, func(d *dataEdit) resource.Resource { return (*TOML)(d) })
}

func FuzzXMLTwice(f *testing.F) {
	f.Add("<a b='1'>\n  <c/> <!-- x -->\n</a>\n", "/a/c[@d='e']/f", "v", true)
	f.Add("<a><b><k>x</k></b></a>", "/a/b[k='x']/@c", "v\n", false)
	f.Fuzz(func(t *testing.T, content, at, value string, absent bool) {
		x := &XML{Name: "x", Path: "/etc/x", At: at, Value: &value}
		if absent {
			x.Value, x.Ensure = nil, "absent"
		}
		if x.Validate() == nil {
			planTwice(t, x, x.Path, content, func(string) bool { return false })
		}
	})
}
