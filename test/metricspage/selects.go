package metricspage

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// series are the values that each label of a metric has.
type series map[string][]string

// selector is a metric with what is asked of its labels, as the dashboard and the rules have it.
var selector = regexp.MustCompile(`\b(vigo_[a-z_]+)\{([^}]*)\}`)

// condition is what is asked of one label.
var condition = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)

// checkSelectors looks for series that the selectors of the dashboard and of the rules would find: a value of a label that no series
// has makes a panel that stays empty, and a rule that never fires. Only of metrics whose names begin with prefix.
func checkSelectors(t *testing.T, prefix string, served map[string]series) {
	t.Helper()
	for _, name := range []string{"grafana.json", "alerts.yaml"} {
		text, err := os.ReadFile(filepath.Join(Root(t), "docs/monitoring", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range selector.FindAllStringSubmatch(strings.ReplaceAll(string(text), `\"`, `"`), -1) {
			if !strings.HasPrefix(found[1], prefix) {
				continue
			}
			for _, c := range condition.FindAllStringSubmatch(found[2], -1) {
				if strings.Contains(c[3], "$") { // what somebody chooses
					continue
				}
				for _, value := range strings.Split(c[3], "|") {
					if !has(t, served, found[1], c[1], value) {
						t.Errorf("%s: %s: no series of it has %s %q", name, found[0], c[1], value)
					}
				}
			}
		}
	}
}

// has is whether a series of a metric has a label whose value is as an expression says.
func has(t *testing.T, served map[string]series, metric, label, value string) bool {
	t.Helper()
	expr, err := regexp.Compile("^(?:" + value + ")$")
	if err != nil {
		t.Errorf("%s: %v", metric, err)
		return false
	}
	of := served[metric]
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		if of == nil {
			of = served[strings.TrimSuffix(metric, end)]
		}
	}
	return slices.ContainsFunc(of[label], expr.MatchString)
}
