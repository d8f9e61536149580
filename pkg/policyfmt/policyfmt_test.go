package policyfmt_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/policyfmt"
	"vigo.dev/pkg/resources"
)

const example = "../../policies-example"

// The cases show a document and how it is laid out.
func TestFormat(t *testing.T) {
	t.Parallel()
	cases, err := os.ReadDir("testdata")
	if err != nil || len(cases) == 0 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	f := policyfmt.New(resources.Registry())
	for _, c := range cases {
		if path.Ext(c.Name()) != ".txtar" {
			continue
		}
		a, err := txtar.ParseFile("testdata/" + c.Name())
		if err != nil || len(a.Files) != 2 {
			t.Fatalf("%s: want two files, %v", c.Name(), err)
		}
		got, err := f.Format("in.yaml", a.Files[0].Data)
		if err != nil {
			t.Errorf("%s: %v", c.Name(), err)
			continue
		}
		if diff := cmp.Diff(string(a.Files[1].Data), string(got)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.Name(), diff)
		}
		if again, err := f.Format("in.yaml", got); err != nil || !bytes.Equal(again, got) {
			t.Errorf("%s: formatting it again gives something else: %v\n%s", c.Name(), err, cmp.Diff(string(got), string(again)))
		}
	}
}

// What is no YAML, or lies outside of the language, is refused with the place.
func TestFormatRefuses(t *testing.T) {
	t.Parallel()
	f := policyfmt.New(resources.Registry())
	for text, want := range map[string]string{
		"kind: Module\n  about: x\n":       `a.yaml:2: this is not YAML`,
		"kind: Module\n\tabout: x\n":       `a.yaml:2:1: a tab in the indentation`,
		"":                                 `a.yaml: the document is empty`,
		"a: &x 1\nb: *x\n":                 `a.yaml:1:4: anchors and aliases`,
		"a: 1\n---\nb: 1\n":                `a.yaml:2:1: a second document`,
		"? a\n: 1\n":                       `a.yaml:1: this way to write a key cannot be formatted`,
		strings.Repeat("a:\n ", 1) + "- [": `a.yaml:2: this is not YAML`,
	} {
		got, err := f.Format("a.yaml", []byte(text))
		var problems fault.Problems
		if !errors.As(err, &problems) || !strings.HasPrefix(err.Error(), want) || got != nil {
			t.Errorf("%q: want %s, got %v and %q", text, want, err, got)
		}
	}
}

// compact is what a repository means: its compact form, without positions.
func compact(t *testing.T, fsys fs.FS) any {
	t.Helper()
	p, _, err := policy.Read(fsys, func(*policy.Policy, *policy.Content) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	return unplaced(v)
}

// unplaced leaves out where things are written.
func unplaced(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "pos")
		delete(v, "at")
		for key, inner := range v {
			v[key] = unplaced(inner)
		}
	case []any:
		for i := range v {
			v[i] = unplaced(v[i])
		}
	}
	return v
}

// formatted returns a repository with its documents laid out.
func formatted(t *testing.T, fsys fs.FS) fstest.MapFS {
	t.Helper()
	out := fstest.MapFS{}
	f := policyfmt.New(resources.Registry())
	err := fs.WalkDir(fsys, ".", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(fsys, file)
		if err == nil && path.Ext(file) == ".yaml" && !strings.HasPrefix(file, ".") {
			var laid []byte
			if laid, err = f.Format(file, data); err == nil {
				data = laid
			}
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, data)
		}
		out[file] = &fstest.MapFile{Data: data}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Formatting changes nothing that the compiler sees, in the example.
func TestExampleMeansTheSame(t *testing.T) {
	t.Parallel()
	fsys := os.DirFS(example)
	if diff := cmp.Diff(compact(t, fsys), compact(t, formatted(t, fsys))); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

// Formatting changes nothing that the compiler sees, in policies that are written in many ways.
func TestRandomPoliciesMeanTheSame(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		fsys := fstest.MapFS{
			"fleet.yaml":            {Data: []byte("kind: Fleet\nname: acme\n")},
			"modules/m/module.yaml": {Data: []byte(randomModule(rand.New(rand.NewPCG(seed, 7))))},
		}
		after := formatted(t, fsys)
		if diff := cmp.Diff(compact(t, fsys), compact(t, after)); diff != "" {
			t.Fatalf("seed %d: -before +after:\n%s\n%s\n%s", seed, diff, fsys["modules/m/module.yaml"].Data, after["modules/m/module.yaml"].Data)
		}
		again := formatted(t, after)
		if diff := cmp.Diff(string(after["modules/m/module.yaml"].Data), string(again["modules/m/module.yaml"].Data)); diff != "" {
			t.Fatalf("seed %d: formatting again changes it:\n%s", seed, diff)
		}
	}
}

// randomModule writes a module with keys in any order, any indentation, and values in every style of YAML.
func randomModule(r *rand.Rand) string {
	var b strings.Builder
	pick := func(choices ...string) string { return choices[r.IntN(len(choices))] }
	noise := func(indent string) string { return pick("", "", "\n", indent+"# why\n", "\n\n"+indent+"# what\n\n") }
	b.WriteString(pick("", "# top\n", "---\n", "# yaml-language-server: $schema=x\n\n"))
	fmt.Fprintf(&b, "resources:%s\n", pick("", "   # all"))
	item := strings.Repeat(" ", r.IntN(5))
	for i := range 1 + r.IntN(4) {
		inner := item + strings.Repeat(" ", 2+r.IntN(3))
		dash := item + "-" + inner[len(item)+1:]
		b.WriteString(noise(item))
		fmt.Fprintf(&b, "%sfile: /etc/f%d%s\n", dash, i, pick("", "  # tail", " "))
		keys := []string{
			"mode: " + pick(`"0644"`, `'0644'`), "owner: " + pick("root", `"root"`, "'ro''ot'", `"r\"o # t"`),
			"content: " + pick("|", "|-", ">", "|+", ">-", "|1", "|2-") + "\n" + block(r, inner),
			"requires: " + pick("[a, b]", "\n"+inner+"- a\n"+inner+"-   b", "\n"+inner+"   # first\n"+inner+"   - a # one\n"+inner+"   # last", "[a, # x\n"+inner+"  'b ] # y',\n"+inner+"   c]"),
			"when: " + pick("a == \"b\"", "'a # b'", "a and\n"+inner+"   b", "\n"+inner+"  a == b", "\"x\n"+inner+"  # y\n"+inner+"  z\""),
			"tags: " + pick("", "[]", "x"), "about: " + pick("é ü", "it's", "a#b"),
		}
		r.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, key := range keys[:r.IntN(len(keys)+1)] {
			if key == "tags: " {
				key = "audit: true"
			}
			b.WriteString(noise(inner) + inner + key + "\n")
		}
	}
	b.WriteString(noise(""))
	b.WriteString(pick("kind: Module\nabout: it\n", "about: it # it\nkind: Module\n"))
	b.WriteString(pick("", "params: {a: int}\n", "params:\n   a: {type: int, default: 1}\n   # b\n   b: string\n# end\n", "# end\n"))
	return b.String()
}

// block is the text of a block scalar below a key.
func block(r *rand.Rand, inner string) string {
	deeper := inner + strings.Repeat(" ", 2)
	lines := []string{"one", "# no comment", "", "  two", "key: value", "", "- three  "}
	text := deeper + "zero\n"
	for _, line := range lines[:r.IntN(len(lines)+1)] {
		if line != "" {
			line = deeper + line
		}
		text += line + "\n"
	}
	return strings.TrimSuffix(text, "\n")
}

func FuzzFormat(f *testing.F) {
	f.Add([]byte("kind: Module\nresources:\n- file: /a # x\n  mode: 0644\n  content: |\n      a\n       # b\n\n# c\n"))
	f.Add([]byte(randomModule(rand.New(rand.NewPCG(1, 2)))))
	form := policyfmt.New(resources.Registry())
	f.Fuzz(func(t *testing.T, src []byte) {
		out, err := form.Format("a.yaml", src)
		if err != nil {
			if out != nil {
				t.Error("a result beside an error")
			}
			return
		}
		again, err := form.Format("a.yaml", out)
		if err != nil || !bytes.Equal(out, again) {
			t.Errorf("%q is laid out as %q, and that as %q, %v", src, out, again, err)
		}
	})
}
