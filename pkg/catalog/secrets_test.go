package catalog_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/resource"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/trait"
)

// secretRepo is a policy in which secrets go every way they can: straight, through a parameter of a role, through data,
// through templates with loops and named parts.
var secretRepo = fstest.MapFS{
	"fleet.yaml": {Data: []byte(`kind: Fleet
name: acme
labels: [tier]
nodes:
  - match: "web-*"
    labels: {role: web}
  - match: "db-*"
    labels: {role: db}
data: ["nodes/{{ .node }}.yaml"]
`)},
	"secrets/db/password.age": {Data: []byte("one")},
	"secrets/tls/key.age":     {Data: []byte("two")},
	"secrets/app.yaml":        {Data: []byte("three")},
	"data/nodes/web-1.yaml":   {Data: []byte("app.token: '{{ secret \"app/token\" }}'\n")},
	"roles/web.yaml":          {Data: []byte("kind: Role\nwhen: role == \"web\"\nmodules:\n  - app: {password: '{{ secret \"db/password\" }}'}\n")},
	"roles/db.yaml":           {Data: []byte("kind: Role\nwhen: role == \"db\"\nmodules: [tls]\n")},
	"modules/tls/module.yaml": {Data: []byte("kind: Module\nresources:\n  - file: /etc/key.pem\n    content: '{{ secret \"tls/key\" }}'\n  - file: /etc/motd\n    content: hello\n")},
	"modules/app/module.yaml": {Data: []byte(`kind: Module
params:
  password: {type: string}
  token: {type: string, default: none}
resources:
  - file: /etc/inline
    content: "p={{ .param.password }}"
    mode: "0640"
  - file: /etc/whole
    template: whole
  - file: /etc/loop
    template: loop
  - file: /etc/plain
    template: plain
  - exec: tell
    command: [tell]
    always: true
    env: {TOKEN: "{{ .param.token }}"}
`)},
	"modules/app/templates/whole": {Data: []byte(`{{ define "x" }}{{ range $k, $v := . }}{{ $k }}={{ $v }} {{ end }}{{ end }}{{ template "x" .param }}`)},
	"modules/app/templates/loop":  {Data: []byte(`{{ with .param }}{{ range split "," .password }}<{{ . | upper }}>{{ end }}{{ end }}`)},
	"modules/app/templates/plain": {Data: []byte(`{{ .node }} {{ range $i, $e := split "," "a,b" }}{{ . }}{{ end }}`)},
}

func readSecretRepo(t *testing.T) (*policy.Policy, *policy.Content) {
	t.Helper()
	_, layers, err := policy.Read(secretRepo, language().Check)
	if err != nil {
		t.Fatal(err)
	}
	p, c, err := policy.FromLayers(layers)
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}

// TestSecretsOf gives each node the secrets of its roles and no others, by labels.
func TestSecretsOf(t *testing.T) {
	t.Parallel()
	p, c := readSecretRepo(t)
	l := language()
	for node, want := range map[string][]string{
		"web-1": {"app/token", "db/password"}, "web-2": {"db/password"}, "db-1": {"tls/key"}, "other": nil,
	} {
		if got := l.SecretsOf(p, c, node, l.Labels(p, node)); !slices.Equal(got, want) {
			t.Errorf("%s gets %v, want %v", node, got, want)
		}
	}
}

// TestTaint follows a value through parameters and templates: everything it is rendered into holds it, nothing else does.
func TestTaint(t *testing.T) {
	t.Parallel()
	p, c := readSecretRepo(t)
	l := language()
	version := func(file string) string { return p.Fleet.Secrets.Files[file] }
	values := map[string]catalog.Secret{"db/password": {Value: "hunter2,x", Version: version("db/password.age")}, "app/token": {Value: "t0ken", Version: version("app.yaml")}}
	build := func(salt string, values map[string]catalog.Secret) *resource.Catalog {
		cat, err := l.Build(p, c, catalog.Input{Node: "web-1", Labels: l.Labels(p, "web-1"), Traits: trait.Set{}, Secrets: catalog.NewSecrets(values, []byte(salt))})
		if err != nil {
			t.Fatal(err)
		}
		return cat
	}
	cat := build("a", values)
	for _, it := range cat.Items {
		if want := it.ID.Name != "/etc/plain"; it.Meta.Tainted != want {
			t.Errorf("%s: tainted is %v", it.ID, it.Meta.Tainted)
		}
	}
	text := func(name string) string {
		for _, it := range cat.Items {
			if it.ID.Name == name {
				s, _ := it.Resource.(*resources.File).Text()
				return s
			}
		}
		return ""
	}
	if got := text("/etc/loop"); got != "<HUNTER2><X>" {
		t.Errorf("the loop rendered %q", got)
	}
	if got := text("/etc/whole"); got != "password=hunter2,x token=t0ken " {
		t.Errorf("all parameters rendered %q", got)
	}
	if again := build("b", values); again.Items[0].Digest == cat.Items[0].Digest || strings.HasPrefix(again.Items[0].Digest, "sha256:") {
		t.Error("the digest of what holds a secret does not depend on what the node alone knows")
	}
	if again := build("a", values); again.Items[0].Digest != cat.Items[0].Digest {
		t.Error("the same declaration has two digests")
	}
	meta, err := json.Marshal(cat.Items[0].Meta)
	if err != nil || strings.Contains(string(meta), "hunter2") {
		t.Errorf("meta: %s, %v", meta, err)
	}
}

// TestUnavailable makes what needs a secret fail, with the reason, and leaves the rest as it is.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	p, c := readSecretRepo(t)
	l := language()
	for name, s := range map[string]*catalog.Secrets{
		"this run was given no secrets": nil,
		"is not sealed to this node":    catalog.NewSecrets(nil, nil),
		"another version of it":         catalog.NewSecrets(map[string]catalog.Secret{"tls/key": {Value: "old", Version: "sha256:old"}}, nil),
	} {
		cat, err := l.Build(p, c, catalog.Input{Node: "db-1", Labels: l.Labels(p, "db-1"), Traits: trait.Set{}, Secrets: s})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cat.Items[0].Resource.Plan(t.Context(), nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q, got %v", name, err)
		}
		if _, broken := cat.Items[1].Resource.(*catalog.Unavailable); broken {
			t.Error("a resource without secrets was not made")
		}
	}
}

// TestAwaitedSecrets has what needs a secret wait on a node to which none can have been sealed yet, and no longer.
func TestAwaitedSecrets(t *testing.T) {
	t.Parallel()
	p, c := readSecretRepo(t)
	l := language()
	until := time.Date(2026, 11, 29, 12, 5, 7, 0, time.FixedZone("", 3600))
	cat, err := l.Build(p, c, catalog.Input{Node: "db-1", Labels: l.Labels(p, "db-1"), Traits: trait.Set{}, Secrets: catalog.AwaitedSecrets(until)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = cat.Items[0].Resource.Plan(t.Context(), nil)
	wait, is := errors.AsType[*host.Wait](err)
	if !is {
		t.Fatalf("it does not wait: %v", err)
	}
	if want := "it waits for the controller to seal secret tls/key to this node, which has just joined; from 11:05:07 UTC on that is a failure"; wait.Reason != want {
		t.Errorf("it says %q, want %q", wait.Reason, want)
	}
	if _, broken := cat.Items[1].Resource.(*catalog.Unavailable); broken {
		t.Error("a resource without secrets was not made")
	}
}

// TestMessagesHideSecrets makes every mistake that would quote a value.
func TestMessagesHideSecrets(t *testing.T) {
	t.Parallel()
	for name, module := range map[string]string{
		"mode":     "kind: Module\nparams: {x: string}\nresources:\n  - file: /a\n    mode: '{{ .param.x }}'\n",
		"pattern":  "kind: Module\nparams: {x: {type: string, pattern: '[0-9]+'}}\nresources:\n  - file: /a\n    content: '{{ .param.x }}'\n",
		"path":     "kind: Module\nparams: {x: path}\nresources:\n  - file: /a\n    content: '{{ .param.x }}'\n",
		"enum":     "kind: Module\nparams: {x: string}\nresources:\n  - file: /a\n    ensure: '{{ .param.x }}'\n",
		"validate": "kind: Module\nparams: {x: string}\nresources:\n  - file: /a\n    content: x\n    backup: '{{ .param.x }}'\n",
	} {
		repo := fstest.MapFS{
			"fleet.yaml":            {Data: []byte("kind: Fleet\nname: acme\n")},
			"secrets/s.age":         {Data: []byte("x")},
			"roles/r.yaml":          {Data: []byte("kind: Role\nmodules:\n  - m: {x: '{{ secret \"s\" }}'}\n")},
			"modules/m/module.yaml": {Data: []byte(module)},
		}
		_, layers, err := policy.Read(repo, language().Check)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p, c, err := policy.FromLayers(layers)
		if err != nil {
			t.Fatal(err)
		}
		_, err = language().Build(p, c, catalog.Input{Node: "n", Traits: trait.Set{},
			Secrets: catalog.NewSecrets(map[string]catalog.Secret{"s": {Value: "hunter2", Version: p.Fleet.Secrets.Files["s.age"]}}, nil)})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPlaceholders builds without any value, also where a placeholder is of another form than the value.
func TestPlaceholders(t *testing.T) {
	t.Parallel()
	repo := fstest.MapFS{
		"fleet.yaml":            {Data: []byte("kind: Fleet\nname: acme\n")},
		"secrets/s.age":         {Data: []byte("x")},
		"roles/r.yaml":          {Data: []byte("kind: Role\nmodules:\n  - m: {port: '{{ secret \"s\" }}'}\n")},
		"modules/m/module.yaml": {Data: []byte("kind: Module\nparams: {port: port}\nresources:\n  - file: /a\n    mode: '{{ .param.port }}'\n  - file: /b\n    content: '{{ .param.port }}'\n")},
	}
	_, layers, err := policy.Read(repo, language().Check)
	if err != nil {
		t.Fatal(err)
	}
	p, c, err := policy.FromLayers(layers)
	if err != nil {
		t.Fatal(err)
	}
	cat, err := language().Build(p, c, catalog.Input{Node: "n", Traits: trait.Set{}, Secrets: catalog.Placeholders()})
	if err != nil {
		t.Fatal(err)
	}
	file, _ := language().Kinds.Kind("file")
	if got := file.Attributes(cat.Items[0].Resource); len(got) != 0 {
		t.Errorf("of what cannot be made: %v", got)
	}
	if s, _ := cat.Items[1].Resource.(*resources.File).Text(); s != "(secret s)" {
		t.Errorf("the placeholder is %q", s)
	}
}
