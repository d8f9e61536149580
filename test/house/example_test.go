package house

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/policytest"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

const example = "../../policies-example"

// loadExample compiles policies-example in the language that both programs speak.
func loadExample(t *testing.T) (catalog.Language, *policy.Policy, *policy.Content) {
	t.Helper()
	schema := expr.NewSchema()
	traits.Schema(schema)
	l := catalog.Language{Kinds: resources.Registry(), Schema: schema}
	p, layers, err := policy.Read(os.DirFS(example), l.Check)
	if err != nil {
		t.Fatal(err)
	}
	return l, p, policy.ContentOf(layers)
}

// Every module of the example has unit tests, its alerts have some, all pass, and every module is used by a role.
func TestExampleIsTested(t *testing.T) {
	t.Parallel()
	l, p, content := loadExample(t)
	tested, used := map[string]bool{}, map[string]bool{}
	results, _ := policytest.Run(l, p, content)
	alerts, err := policytest.RunAlerts(l, p, os.DirFS(example))
	if err != nil || len(alerts) == 0 {
		t.Fatalf("%d tests of alerts, %v", len(alerts), err)
	}
	results = append(results, alerts...)
	for _, r := range results {
		tested[r.Module] = true
		for _, failure := range r.Failures {
			t.Errorf("%s: %s", r.File, failure)
		}
		if r.About == "" {
			t.Errorf("%s does not say what it shows", r.File)
		}
	}
	for _, role := range p.Roles {
		for _, u := range role.Modules {
			used[u.Module] = true
		}
	}
	for name, m := range p.Modules {
		if !tested[name] || !used[name] || m.About == "" {
			t.Errorf("module %s: tested %t, used by a role %t, says what it is for %t", name, tested[name], used[name], m.About != "")
		}
	}
}

// TestExampleAlertsSayWhatToDo: somebody is woken up by them.
func TestExampleAlertsSayWhatToDo(t *testing.T) {
	t.Parallel()
	rules, err := policy.LoadAlerts(os.DirFS(example))
	if err != nil || len(rules) == 0 {
		t.Fatalf("%d rules of alerts, %v", len(rules), err)
	}
	for _, r := range rules {
		if r.About == "" {
			t.Errorf("alerts/%s.yaml does not say what to do", r.Name)
		}
	}
}

// Every file of the example has a place in the policy: there is nothing that people would copy and nobody has tried.
func TestExampleHasNoStrayFile(t *testing.T) {
	t.Parallel()
	_, p, _ := loadExample(t)
	mentioned := map[string][]string{} // by module: templates and files that resources name
	for name, m := range p.Modules {
		for _, r := range m.Resources {
			for _, key := range []string{"template", "source"} {
				if file, ok := r.Attrs[key].(string); ok {
					mentioned[name] = append(mentioned[name], file)
				}
			}
		}
	}
	about := regexp.MustCompile(`^(README\.md|CODEOWNERS|fleet\.yaml|\.gitignore|\.vscode/settings\.json|\.github/(plan\.sh|workflows/[^/]+\.yml|traits/[^/]+\.json))$`)
	inModule := regexp.MustCompile(`^modules/([^/]+)/(?:module\.yaml|tests/[^/]+\.yaml|(?:templates|files)/(.+))$`)
	walkExample(t, func(file string) {
		data, isData := strings.CutPrefix(file, "data/")
		m := inModule.FindStringSubmatch(file)
		ok := about.MatchString(file) || slices.Contains([]string{"roles", "alerts", "alerts/tests", "rollouts"}, path.Dir(file)) && path.Ext(file) == ".yaml" ||
			isData && slices.ContainsFunc(p.Fleet.Data, func(level policy.Text) bool { return hierarchy(level.S, data) }) ||
			m != nil && (m[2] == "" || slices.ContainsFunc(mentioned[m[1]], func(f string) bool { return m[2] == f || strings.HasPrefix(m[2], f+"/") }))
		if !ok {
			t.Errorf("%s/%s: nothing refers to it", path.Base(example), file)
		}
	})
}

// hierarchy says whether a file of data/ can be what a level of the hierarchy comes to.
func hierarchy(level, file string) bool {
	parts := regexp.MustCompile(`\{\{[^}]*\}\}`).Split(level, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("^" + strings.Join(parts, "[^/]+") + "$").MatchString(file)
}

func walkExample(t *testing.T, visit func(file string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(example), ".", func(file string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			visit(file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every path that has an owner is there.
func TestExampleOwnersOwnSomething(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(example + "/CODEOWNERS")
	if err != nil {
		t.Fatal(err)
	}
	owned := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) < 2 || !strings.HasPrefix(fields[1], "@") {
			t.Errorf("CODEOWNERS: %q names no owner", strings.TrimSpace(line))
		}
		if fields[0] != "*" {
			if _, err := os.Stat(example + fields[0]); err != nil {
				t.Errorf("CODEOWNERS: %v", err)
			}
		}
		owned++
	}
	if owned == 0 {
		t.Error("CODEOWNERS gives nothing to anybody")
	}
}

// What the README quotes from the example is what the files say. A quote begins with its path as a comment.
func TestReadmeQuotesTheExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	quotes := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	if len(quotes) == 0 {
		t.Error("README.md quotes nothing")
	}
	for _, q := range quotes {
		first, text, _ := strings.Cut(q[1], "\n")
		file, ok := strings.CutPrefix(first, "# policies-example/")
		if !ok {
			t.Errorf("README.md: a quote begins with %q, want its path: # policies-example/…", first)
			continue
		}
		data, err := os.ReadFile(path.Join(example, file))
		if err != nil {
			t.Error(err)
			continue
		}
		if string(data) != text {
			t.Errorf("README.md quotes %s, which says something else:\n%s", file, data)
		}
	}
}

// The workflow of the project calls targets that the Makefile has, and scripts that may be executed.
func TestWorkflowCallsWhatIsThere(t *testing.T) {
	t.Parallel()
	workflow, err := os.ReadFile("../../.github/workflows/ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	calls := regexp.MustCompile(`(?m)^\s*(?:- )?run: (make (\S+)|(\.ci/\S+))$`).FindAllStringSubmatch(string(workflow), -1)
	if len(calls) == 0 {
		t.Fatal("the workflow calls nothing")
	}
	for _, c := range calls {
		if c[2] != "" {
			if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(c[2]) + `:`).Match(makefile) {
				t.Errorf("%s: the Makefile has no such target", c[1])
			}
			continue
		}
		if info, err := os.Stat("../../" + c[3]); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("%s cannot be executed: %v", c[3], err)
		}
	}
}
