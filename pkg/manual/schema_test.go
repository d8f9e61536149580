package manual_test

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/manual"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/policytest"
)

// schemas compiles the schema of each kind of document, and of any ("").
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	m := open(t)
	all := map[string]*jsonschema.Schema{}
	for _, name := range append(manual.Documents(), "") {
		all[name] = compileSchema(t, m, name)
	}
	return all
}

func compileSchema(t *testing.T, m *manual.Manual, name string) *jsonschema.Schema {
	t.Helper()
	text, err := m.DocumentSchema(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("vigo.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("vigo.json") // which checks it against the schema of schemas, too
	if err != nil {
		t.Fatalf("schema %q: %v", name, err)
	}
	return s
}

func document(t *testing.T, text []byte) any {
	t.Helper()
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// Every document of the example policy fits the schema of its kind, and that of any kind.
func TestSchemasAcceptTheExample(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	seen := map[string]int{}
	fsys := os.DirFS("../../policies-example")
	err := fs.WalkDir(fsys, ".", func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || path.Ext(file) != ".yaml" || strings.HasPrefix(file, "data/") || strings.HasPrefix(file, ".") {
			return err
		}
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return err
		}
		doc := document(t, text)
		kind := strings.ToLower(doc.(map[string]any)["kind"].(string))
		seen[kind]++
		for _, name := range []string{kind, ""} {
			if err := all[name].Validate(doc); err != nil {
				t.Errorf("%s: schema %q: %v", file, name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"fleet", "module", "role", "test", "alert", "alerttest"} {
		if seen[kind] == 0 {
			t.Errorf("the example has no document of kind %s", kind)
		}
	}
}

// Every example in the manual of the types fits, too.
func TestSchemasAcceptTheManual(t *testing.T) {
	t.Parallel()
	all, m := schemas(t), open(t)
	for name := range reflectDefinitions(t, m) {
		examples, err := m.Examples(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range examples {
			doc := document(t, []byte("kind: Module\n"+text))
			if err := all["module"].Validate(doc); err != nil {
				t.Errorf("%s: %v in\n%s", name, err, text)
			}
		}
	}
}

func reflectDefinitions(t *testing.T, m *manual.Manual) map[string]any {
	t.Helper()
	text, err := m.DocumentSchema("module")
	if err != nil {
		t.Fatal(err)
	}
	var s struct{ Definitions map[string]any }
	if err := yaml.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s.Definitions
}

// What people get wrong is refused by the schema, as it is by the policy language.
func TestSchemasRefuseMistakes(t *testing.T) {
	t.Parallel()
	all := schemas(t)
	for about, text := range map[string]string{
		"no kind":             "name: acme",
		"unknown kind":        "kind: Flet\nname: acme",
		"fleet without name":  "kind: Fleet",
		"unknown key":         "kind: Fleet\nname: acme\nintervall: 30s",
		"bad interval":        "kind: Fleet\nname: acme\ninterval: 30",
		"bad name":            "kind: Fleet\nname: Acme Inc",
		"grant without match": "kind: Fleet\nname: acme\nnodes: [{labels: {role: web}}]",
		"mode not boolean":    "kind: Fleet\nname: acme\nmodes: {maintenance: maybe}",
		"commits":             "kind: Fleet\nname: acme\ntrust: {commits: some}",
		"parameter type":      "kind: Module\nparams: {port: integer}",
		"parameter key":       "kind: Module\nparams: {port: {type: int, minimum: 1}}",
		"resource type":       "kind: Module\nresources: [{servce: ssh}]",
		"attribute":           "kind: Module\nresources: [{file: /etc/motd, contents: x}]",
		"enum":                "kind: Module\nresources: [{file: /etc/motd, ensure: there}]",
		"unquoted mode":       "kind: Module\nresources: [{file: /etc/motd, mode: 644}]",
		"boolean":             "kind: Module\nresources: [{service: ssh, running: 1}]",
		"list":                "kind: Module\nresources: {file: /etc/motd}",
		"required attribute":  "kind: Module\nresources: [{block: hosts, text: x}]",
		"guard":               "kind: Module\nresources: [{file: /etc/motd, guard: {}}]",
		"guard of a package":  "kind: Module\nresources: [{package: nginx, guard: {confirm: checkin}}]",
		"role with two uses":  "kind: Role\nmodules: [{web: {}, db: {}}]",
		"role key":            "kind: Role\nmodule: [web]",
		"test without expect": "kind: Test\ngiven: {}",
		"test key":            "kind: Test\nexpect: {resource: []}",
	} {
		if err := all[""].Validate(document(t, []byte(text))); err == nil {
			t.Errorf("%s: accepted:\n%s", about, text)
		}
	}
}

// The keys in the schemas are those that the policy language knows: it lists them when one is misspelt beyond guessing.
func TestSchemasHaveTheKeysOfTheLanguage(t *testing.T) {
	t.Parallel()
	m := open(t)
	const odd = "zzzzqqqqxxxxjjjj"
	for _, c := range []struct{ document, file, text, at string }{
		{"fleet", "fleet.yaml", "kind: Fleet\nname: acme\n" + odd + ": 1", ""},
		{"fleet", "fleet.yaml", "kind: Fleet\nname: acme\nnodes: [{match: x, " + odd + ": 1}]", "nodes.items"},
		{"fleet", "fleet.yaml", "kind: Fleet\nname: acme\nchannels: {stable: {" + odd + ": 1}}", "channels.additionalProperties.anyOf.1"},
		{"fleet", "fleet.yaml", "kind: Fleet\nname: acme\ntrust: {" + odd + ": 1}", "trust"},
		{"module", "modules/m/module.yaml", "kind: Module\n" + odd + ": 1", ""},
		{"module", "modules/m/module.yaml", "kind: Module\nparams: {p: {type: int, " + odd + ": 1}}", "params.additionalProperties.anyOf.1"},
		{"role", "roles/r.yaml", "kind: Role\n" + odd + ": 1", ""},
	} {
		fsys := fstest.MapFS{"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme")}}
		fsys[c.file] = &fstest.MapFile{Data: []byte(c.text)}
		_, _, err := policy.Read(fsys, func(*policy.Policy, *policy.Content) error { return nil })
		if diff := cmp.Diff(known(t, err), keys(t, m, c.document, c.at)); diff != "" {
			t.Errorf("%s, %q (-language +schema):\n%s", c.document, c.at, diff)
		}
	}
	var common []string
	for _, k := range manual.Common() {
		common = append(common, k.Key)
	}
	want := policy.MetaKeys()
	slices.Sort(common)
	slices.Sort(want)
	if diff := cmp.Diff(want, common); diff != "" {
		t.Errorf("keys of every resource (-language +manual):\n%s", diff)
	}
	for at, typ := range map[string]reflect.Type{
		"": reflect.TypeFor[policytest.Test](), "given": reflect.TypeFor[policytest.Given](), "expect": reflect.TypeFor[policytest.Expect](),
	} {
		if diff := cmp.Diff(tags(typ), keys(t, m, "test", at)); diff != "" {
			t.Errorf("test, %q (-struct +schema):\n%s", at, diff)
		}
	}
	for at, typ := range map[string]reflect.Type{
		"": reflect.TypeFor[policytest.AlertTest](), "given": reflect.TypeFor[policytest.Scene](), "timeline.items": reflect.TypeFor[policytest.Scene](),
		"given.nodes.additionalProperties": reflect.TypeFor[policytest.NodeFacts](), "given.hubs.additionalProperties": reflect.TypeFor[policytest.HubFacts](),
		"given.channels.additionalProperties": reflect.TypeFor[policytest.ChannelFacts](), "given.mute": reflect.TypeFor[policytest.MuteFacts](),
		"expect.items": reflect.TypeFor[policytest.Told](),
	} {
		if diff := cmp.Diff(tags(typ), keys(t, m, "alerttest", at)); diff != "" {
			t.Errorf("test of alerts, %q (-struct +schema):\n%s", at, diff)
		}
	}
}

// tags are the keys of a struct that a document is read into, sorted.
func tags(typ reflect.Type) []string {
	var list []string
	for i := range typ.NumField() {
		if tag := typ.Field(i).Tag.Get("yaml"); tag != "" {
			list = append(list, tag)
		}
	}
	slices.Sort(list)
	return list
}

// known reads the keys out of the hint at an unknown one.
func known(t *testing.T, err error) []string {
	t.Helper()
	problems, _ := err.(fault.Problems)
	for _, p := range problems {
		if m := regexp.MustCompile(`^known keys: (.*)$`).FindStringSubmatch(p.Hint); m != nil {
			return strings.Split(m[1], ", ")
		}
	}
	t.Fatalf("no key is called unknown: %v", err)
	return nil
}

// keys are the properties of a mapping inside a schema, sorted.
func keys(t *testing.T, m *manual.Manual, name, at string) []string {
	t.Helper()
	text, err := m.DocumentSchema(name)
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := yaml.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if at != "" {
		first, rest, _ := strings.Cut(at, ".")
		s = s["properties"].(map[string]any)[first].(map[string]any)
		for step := range strings.SplitSeq(rest, ".") {
			switch step {
			case "":
			case "nodes", "hubs", "channels", "mute":
				s = s["properties"].(map[string]any)[step].(map[string]any)
			case "1":
			case "anyOf":
				s = s[step].([]any)[1].(map[string]any)
			default:
				s = s[step].(map[string]any)
			}
		}
	}
	var all []string
	for key := range s["properties"].(map[string]any) {
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}
