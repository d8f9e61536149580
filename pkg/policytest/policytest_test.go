package policytest_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/policytest"
	"vigo.dev/pkg/resources"
)

func language() catalog.Language {
	s := expr.NewSchema()
	s.Trait("os", reflect.TypeFor[struct {
		Family string `json:"family"`
	}]())
	return catalog.Language{Kinds: resources.Registry(), Schema: s}
}

// run runs the tests of module web, given by file name, and returns what each says.
func run(t testing.TB, tests map[string]string) map[string][]string {
	t.Helper()
	repo := fstest.MapFS{
		"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\nlabels: [role]\nmodes: {maintenance: false}\n")},
		"modules/web/module.yaml": {Data: []byte(`kind: Module
params:
  port: {type: port, default: 80}
resources:
  - package: nginx
    when: os.family == "debian"
  - file: /etc/nginx/port
    content: "listen {{ .param.port }} for {{ .node }}\n"
    mode: "0640"
    notify: [service:nginx]
  - service: nginx
    running: true
  - file: /etc/maintenance
    content: x
    when: mode.maintenance
`)},
	}
	for name, text := range tests {
		repo["modules/web/tests/"+name+".yaml"] = &fstest.MapFile{Data: []byte(text)}
	}
	l := language()
	p, layers, err := policy.Read(repo, l.Check)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	results, _ := policytest.Run(l, p, policy.ContentOf(layers))
	for _, r := range results {
		got[strings.TrimSuffix(strings.TrimPrefix(r.File, "modules/web/tests/"), ".yaml")] = r.Failures
	}
	return got
}

func TestExpectations(t *testing.T) {
	t.Parallel()
	const debian = "kind: Test\ngiven: {node: web-1, traits: {os: {family: debian}}}\n"
	const onHost = `kind: Test
given:
  traits: {os: {family: debian}}
  host: |
    candidate nginx 1.22.1 service=nginx
    file /etc/nginx/port mode=0644 "listen 1\n"
`
	for name, tt := range map[string]struct {
		test string
		want []string // parts of the failures; none: it passes
	}{
		"holds": {debian + `expect:
  resources:
    - package: nginx
    - file: /etc/nginx/port
      content: "listen 80 for web-1\n"
      mode: "0640"
      notifies: [service:nginx]
    - service: nginx
      running: true
  absent: ["file:/etc/maintenance"]
`, nil},
		"part of the content": {debian + "expect: {resources: [{file: /etc/nginx/port, content: [listen, web-1]}]}\n", nil},
		"parameters":          {"kind: Test\ngiven: {params: {port: 8080}}\nexpect: {resources: [{file: /etc/nginx/port, content: [\"8080\"]}], absent: [package:nginx]}\n", nil},
		"modes":               {"kind: Test\ngiven: {modes: {maintenance: true}}\nexpect: {resources: [{file: /etc/maintenance}]}\n", nil},
		"a mistake":           {"kind: Test\ngiven: {params: {port: 70000}}\nexpect: {error: must be a port}\n", nil},

		"a host": {onHost + `expect:
  diff: |
    changed package:nginx
        ensure: absent -> 1.22.1
    changed file:/etc/nginx/port
        content:
        --- is
        +++ want
        @@ -1,1 +1,1 @@
        -listen 1
        +listen 80 for node
        mode: 0644 -> 0640
    ok service:nginx
        refresh done
  after: |
    file /etc/nginx/port mode=0640 "listen 80 for node\n"
`, nil},
		"a host that is other": {onHost + "expect: {diff: \"\", after: \"package nginx 9\"}\n", []string{"diff: want\n\ngot\nchanged package:nginx", `the host has no line "package nginx 9"`}},
		"a host that fails":    {strings.Replace(onHost, "candidate nginx 1.22.1 service=nginx", "fail install \"no space\"", 1) + "expect: {}\n", []string{"it fails on the host:\nfailed package:nginx"}},
		"a host of no text":    {strings.Replace(onHost, "candidate", "candydate", 1) + "expect: {}\n", []string{"reading host text"}},
		"a time of no text":    {strings.Replace(onHost, "  host:", "  now: noon\n  host:", 1) + "expect: {}\n", []string{`given.now: "noon" is not a time`}},

		"another value":      {debian + "expect: {resources: [{service: nginx, running: false}]}\n", []string{"service:nginx: running: want false, got true"}},
		"part of content":    {debian + "expect: {resources: [{file: /etc/nginx/port, content: listen 80}]}\n", []string{`content: want "listen 80", got "listen 80 for web-1\n" (it is in it: write ["listen 80"] if that is enough)`}},
		"other content":      {debian + "expect: {resources: [{file: /etc/nginx/port, content: x}]}\n", []string{`content: want "x", got "listen 80 for web-1\n"`}},
		"what is not there":  {debian + "expect: {resources: [{package: apache2}]}\n", []string{"package:apache2 is not there; there are: package:nginx, "}},
		"what is there":      {debian + "expect: {absent: [package:nginx]}\n", []string{"package:nginx is there and should not be"}},
		"no such attribute":  {debian + "expect: {resources: [{service: nginx, runing: true}]}\n", []string{"runing: this type has no such attribute"}},
		"no such relation":   {debian + "expect: {resources: [{file: /etc/nginx/port, notifies: [service:ssh]}]}\n", []string{"service:ssh is not among them"}},
		"no mistake":         {debian + "expect: {error: boom}\n", []string{`want the mistake "boom", got none`}},
		"another mistake":    {"kind: Test\ngiven: {params: {port: 70000}}\nexpect: {error: boom}\n", []string{`want the mistake "boom", got: `}},
		"a mistake too many": {"kind: Test\ngiven: {params: {port: 70000}}\nexpect: {}\n", []string{"must be a port"}},
		"two at once":        {debian + "expect: {resources: [{service: nginx, running: false}, {package: x}]}\n", []string{"running: want false", "package:x is not there"}},
		"a misspelt key":     {"kind: Test\nexpected: {}\n", []string{"expected"}},
		"another kind":       {"kind: Module\n", []string{"kind Test"}},
		"not YAML":           {"kind: [", []string{"reading the test"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, map[string]string{"one": tt.test})["one"]
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i, part := range tt.want {
				if !strings.Contains(got[i], part) {
					t.Errorf("got %q, want %q", got[i], part)
				}
			}
		})
	}
}

func TestResultsComeInOrder(t *testing.T) {
	t.Parallel()
	got := run(t, map[string]string{"b": "kind: Test\n", "a": "kind: Test\n", "c": "kind: Test\nexpect: {absent: [service:nginx]}\n"})
	want := map[string][]string{"a": nil, "b": nil, "c": {"service:nginx is there and should not be"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A thousand tests are to take two seconds at most: see the figure per test.
func BenchmarkThousandTests(b *testing.B) {
	tests := map[string]string{}
	for i := range 1000 {
		tests[fmt.Sprintf("t%04d", i)] = "kind: Test\ngiven: {traits: {os: {family: debian}}}\nexpect: {resources: [{package: nginx}, {file: /etc/nginx/port, content: [listen]}]}\n"
	}
	for b.Loop() {
		for name, failures := range run(b, tests) {
			if len(failures) > 0 {
				b.Fatal(name, failures)
			}
		}
	}
}

// Which roles give a node the module is a matter of tests, too, and so are the conditions of those roles.
func TestRoles(t *testing.T) {
	t.Parallel()
	repo := fstest.MapFS{
		"fleet.yaml":            {Data: []byte("kind: Fleet\nname: acme\nnodes:\n  - {match: \"web-*\", labels: {role: web, site: x}}\n")},
		"roles/all.yaml":        {Data: []byte("kind: Role\nmodules: [m]\n")},
		"roles/web.yaml":        {Data: []byte("kind: Role\nwhen: role == \"web\" and os.family == \"debian\"\nmodules: [m]\n")},
		"roles/far.yaml":        {Data: []byte("kind: Role\nwhen: site == \"far\"\nmodules: [m]\n")},
		"roles/other.yaml":      {Data: []byte("kind: Role\nwhen: role == \"other\"\nmodules: [n]\n")},
		"modules/m/module.yaml": {Data: []byte("kind: Module\nresources:\n  - package: a\n")},
		"modules/n/module.yaml": {Data: []byte("kind: Module\nresources:\n  - package: b\n")},
		// By the label of the fleet, by that of the test, and not at all.
		"modules/m/tests/a.yaml": {Data: []byte("kind: Test\ngiven: {node: web-1, traits: {os: {family: debian}}}\nexpect: {roles: [web, all]}\n")},
		"modules/m/tests/b.yaml": {Data: []byte("kind: Test\ngiven: {labels: {role: db}, traits: {os: {family: debian}}}\nexpect: {roles: [all]}\n")},
		"modules/m/tests/c.yaml": {Data: []byte("kind: Test\ngiven: {labels: {site: far}, traits: {os: {family: debian}}}\nexpect: {roles: [all]}\n")},
		"modules/n/tests/a.yaml": {Data: []byte("kind: Test\nexpect: {roles: []}\n")},
	}
	l := language()
	p, layers, err := policy.Read(repo, l.Check)
	if err != nil {
		t.Fatal(err)
	}
	results, covered := policytest.Run(l, p, policy.ContentOf(layers))
	for _, r := range results {
		switch {
		case r.File != "modules/m/tests/c.yaml" && len(r.Failures) > 0:
			t.Errorf("%s: %v", r.File, r.Failures)
		case r.File == "modules/m/tests/c.yaml" && !slices.Equal(r.Failures, []string{"the module comes by the roles all, far, want all"}):
			t.Errorf("%s: %q", r.File, r.Failures)
		}
	}
	roles := slices.DeleteFunc(covered, func(c policytest.Coverage) bool { return c.Role == "" })
	gap := func(role, what string) []policytest.Gap {
		return []policytest.Gap{{Pos: fault.Pos{File: "roles/" + role + ".yaml", Line: 2, Col: 7}, What: "no test in which the condition of role " + role + " " + what}}
	}
	want := []policytest.Coverage{
		{Role: "far", Branches: policytest.Share{Covered: 1, Total: 2}, Missing: gap("far", "holds")},
		{Role: "other", Branches: policytest.Share{Covered: 1, Total: 2}, Missing: gap("other", "holds")},
		{Role: "web", Branches: policytest.Share{Covered: 2, Total: 2}, Missing: []policytest.Gap{}},
	}
	if diff := cmp.Diff(want, roles); diff != "" {
		t.Error(diff)
	}
}

// What no test expects is told, with its place; so is each way a condition never went. A test that fails covers nothing.
func TestCoverage(t *testing.T) {
	t.Parallel()
	repo := fstest.MapFS{
		"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\n")},
		"modules/m/module.yaml": {Data: []byte(`kind: Module
when: os.family == "debian"
resources:
  - package: "{{ .key }}"
    foreach: [a, b]
    when: key != "c"
  - package: d
    when: node == "d"
  - package: e
    when: node == "e"
  - file: /etc/f
    content: x
`)},
		"modules/m/tests/one.yaml":   {Data: []byte("kind: Test\ngiven: {node: d, traits: {os: {family: debian}}}\nexpect: {resources: [{package: a}, {package: d}]}\n")},
		"modules/m/tests/two.yaml":   {Data: []byte("kind: Test\nexpect: {absent: [package:a]}\n")},
		"modules/m/tests/three.yaml": {Data: []byte("kind: Test\ngiven: {node: e, traits: {os: {family: debian}}}\nexpect: {resources: [{package: e}, {package: z}]}\n")},
		"modules/n/module.yaml":      {Data: []byte("kind: Module\nresources:\n  - package: x\n")},
	}
	l := language()
	p, layers, err := policy.Read(repo, l.Check)
	if err != nil {
		t.Fatal(err)
	}
	_, got := policytest.Run(l, p, policy.ContentOf(layers))
	at := func(line, col int) fault.Pos { return fault.Pos{File: "modules/m/module.yaml", Line: line, Col: col} }
	want := []policytest.Coverage{
		{Module: "m", Resources: policytest.Share{Covered: 2, Total: 4}, Branches: policytest.Share{Covered: 5, Total: 8}, Missing: []policytest.Gap{
			{Pos: at(6, 11), What: "no test in which the condition of package:{{ .key }} does not hold"},
			{Pos: at(8, 11), What: "no test in which the condition of package:d does not hold"},
			{Pos: at(9, 5), What: "no test expects package:e"},
			{Pos: at(10, 11), What: "no test in which the condition of package:e holds"},
			{Pos: at(11, 5), What: "no test expects file:/etc/f"},
		}},
		{Module: "n", Resources: policytest.Share{Total: 1}, Missing: []policytest.Gap{
			{Pos: fault.Pos{File: "modules/n/module.yaml", Line: 3, Col: 5}, What: "no test expects package:x"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
