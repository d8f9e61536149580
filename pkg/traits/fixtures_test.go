package traits_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/traits"
)

var update = flag.Bool("update", false, "rewrite the expected traits in testdata")

// A fixture is testdata/<trait>[-<case>].txtar, a machine as hosttest reads it; beside it is what is collected there.
type expected struct {
	Trait   any    `json:"trait,omitempty"` // none if the trait does not apply, or could not be collected at all
	Problem string `json:"problem,omitempty"`
}

func TestFixtures(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	collectors := map[string]traits.Collector{}
	untested := map[string]bool{}
	for _, c := range traits.All() {
		collectors[c.Kind().Name] = c
		untested[c.Kind().Name] = true
	}
	for _, file := range files {
		base := strings.TrimSuffix(filepath.Base(file), ".txtar")
		name, _, _ := strings.Cut(base, "-")
		c, ok := collectors[name]
		if !ok {
			t.Errorf("%s: there is no collector %q", file, name)
			continue
		}
		delete(untested, name)
		t.Run(base, func(t *testing.T) {
			t.Parallel()
			checkFixture(t, c, file)
		})
	}
	for name := range untested {
		t.Errorf("the collector %s has no fixture: testdata/%s.txtar", name, name)
	}
}

func checkFixture(t *testing.T, c traits.Collector, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m, err := hosttest.FromArchive(archive)
	if err != nil {
		t.Fatal(err)
	}
	name := c.Kind().Name
	gathered := traits.NewScheduler([]traits.Collector{c}, clock).Gather(t.Context(), m.Host(), traits.Agent{})
	if m.Writes() > 0 {
		t.Errorf("the machine was changed: %s", m.Log())
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(expected{Trait: gathered.Set[name], Problem: gathered.Problems[name]}); err != nil {
		t.Fatal(err)
	}
	golden := strings.TrimSuffix(file, ".txtar") + ".json"
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (go test ./pkg/traits -update rewrites it):\n%s", golden, diff)
	}
}

func clock() time.Time { return time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) }

// On a machine that has nothing of what a trait is about, the trait is absent, and that is no problem.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	m, err := hosttest.Parse([]byte("fail packages unsupported\nfail services unsupported\nfail mounts unsupported\nfail interfaces unsupported\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := traits.NewScheduler(traits.All(), clock).Gather(t.Context(), m.Host(), traits.Agent{})
	if len(got.Problems) > 0 {
		t.Errorf("problems: %v", got.Problems)
	}
	delete(got.Set, "agent")
	delete(got.Set, "users")    // root is everywhere
	delete(got.Set, "hostname") // and a name
	if len(got.Set) > 0 {
		t.Errorf("traits of nothing: %v", got.Set)
	}
}

// What could not be looked at is told and never taken for absent.
func TestCouldNotLook(t *testing.T) {
	t.Parallel()
	text := ""
	for _, word := range []string{"look", "packages", "services", "accounts", "mounts", "interfaces", "hostname"} {
		text += "fail " + word + " \"input/output error\"\n"
	}
	m, err := hosttest.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := traits.NewScheduler(traits.All(), clock).Gather(t.Context(), m.Host(), traits.Agent{})
	for _, c := range traits.All() {
		if name := c.Kind().Name; !strings.Contains(got.Problems[name], "input/output error") {
			t.Errorf("%s: trait %v, problem %q", name, got.Set[name], got.Problems[name])
		}
	}
}

// Only traits that are not volatile are sent to the service.
func TestVolatileIsNotSent(t *testing.T) {
	t.Parallel()
	m := openMachine(t)
	got := traits.NewScheduler(traits.All(), time.Now).Gather(t.Context(), m.Host(), traits.Agent{})
	for _, k := range traits.Kinds() {
		_, sent := got.Facets[k.Name]
		if want := k.Class != trait.Volatile && got.Set[k.Name] != nil; sent != want {
			t.Errorf("%s: class %s: sent %v", k.Name, k.Class, sent)
		}
	}
}
