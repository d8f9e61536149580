// Package metricspage keeps docs/reference/metrics.md as the programs serve it, and what is made of it (the dashboard, the rules) in
// terms of metrics that exist.
//
// It refuses metrics that Prometheus' own linter finds fault with.
package metricspage

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Page is where the metrics are described, from the root of the module.
const Page = "docs/reference/metrics.md"

// Check lints the metrics of a program and compares them with its section of the page, and looks for series that the dashboard and the
// rules ask for; prefix is what their names begin with.
// A metric that has no sample is not seen: give each label a value before. With VIGO_UPDATE=1 the section is rewritten.
func Check(t *testing.T, section, prefix string, g prometheus.Gatherer) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "vigo_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	found := map[string]series{}
	rows := []string{"| metric | type | labels | what |", "|---|---|---|---|"}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "vigo_") {
			continue // of the process and of Go
		}
		if !strings.HasPrefix(f.GetName(), prefix) || !strings.HasSuffix(f.GetHelp(), ".") {
			t.Errorf("%s %q: want a name that begins with %s and a sentence", f.GetName(), f.GetHelp(), prefix)
		}
		labels, of := map[string]bool{}, series{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				labels["`"+l.GetName()+"`"] = true
				of[l.GetName()] = append(of[l.GetName()], l.GetValue())
			}
		}
		found[f.GetName()] = of
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |", f.GetName(), strings.ToLower(f.GetType().String()),
			strings.Join(slices.Sorted(maps.Keys(labels)), " "), strings.ReplaceAll(f.GetHelp(), "|", `\|`)))
	}
	checkSelectors(t, prefix, found)
	compare(t, section, strings.Join(rows, "\n")+"\n")
}

// Root is the folder of the module, above that of a test.
func Root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the folder of the test")
		}
		dir = filepath.Dir(dir)
	}
}

// compare compares the table of a section with what it should be.
func compare(t *testing.T, section, want string) {
	t.Helper()
	path := filepath.Join(Root(t), Page)
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile(`(?s)(\n## ` + regexp.QuoteMeta(section) + `\n.*?\n)(\| metric .*?\n)(\n|$)`)
	at := table.FindStringSubmatchIndex(string(page))
	if at == nil {
		t.Fatalf("%s has no table in a section %q", Page, section)
	}
	if got := string(page[at[4]:at[5]]); got != want {
		if os.Getenv("VIGO_UPDATE") == "" {
			t.Errorf("%s is not as the program is; VIGO_UPDATE=1 rewrites it (-page +program):\n%s", Page, cmp.Diff(got, want))
			return
		}
		text := string(page[:at[4]]) + want + string(page[at[5]:])
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil { //nolint:gosec // a page of the documentation
			t.Fatal(err)
		}
	}
}

// A Metric is one of the page.
type Metric struct {
	Name   string
	Type   string
	Labels []string
}

// Read reads the page.
func Read(t *testing.T) map[string]Metric {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(Root(t), Page))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Metric{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([a-z]+) \\| ([^|]*) \\|").FindAllStringSubmatch(string(page), -1) {
		all[row[1]] = Metric{Name: row[1], Type: row[2], Labels: strings.Fields(strings.ReplaceAll(row[3], "`", ""))}
	}
	return all
}
