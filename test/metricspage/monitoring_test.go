package metricspage

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestDashboard: every query of the Grafana dashboard is of metrics and labels that exist, and each panel says what it shows.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(Root(t), "docs/monitoring/grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Title, UID    string
		SchemaVersion int
		Panels        []struct {
			ID                       int
			Title, Type, Description string
			GridPos                  struct{ X, Y, W, H int }
			Targets                  []struct{ Expr, RefID string }
		}
		Templating struct {
			List []struct{ Name, Query string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	known, used, ids := Read(t), map[string]bool{}, map[int]bool{}
	taken := map[[2]int]string{} // places, by which panel has them
	for _, p := range board.Panels {
		for at := range p.GridPos.W * p.GridPos.H {
			place := [2]int{p.GridPos.X + at%p.GridPos.W, p.GridPos.Y + at/p.GridPos.W}
			if other, both := taken[place]; both {
				t.Errorf("panel %q lies on %q", p.Title, other)
				break
			}
			taken[place] = p.Title
		}
		if ids[p.ID] || p.Title == "" || p.GridPos.W == 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("panel %d %q has no place, name or number of its own", p.ID, p.Title)
		}
		ids[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Description == "" || len(p.Targets) == 0 {
			t.Errorf("panel %q does not say what it shows", p.Title)
		}
		for _, q := range p.Targets {
			checkExpr(t, p.Title, q.Expr, known, used)
		}
	}
	for _, v := range board.Templating.List {
		if v.Query != "prometheus" {
			checkExpr(t, v.Name, v.Query, known, used)
		}
	}
	if board.UID == "" || board.Title == "" || board.SchemaVersion == 0 || len(used) < 30 {
		t.Errorf("%q (%s) shows %d metrics", board.Title, board.UID, len(used))
	}
}

// TestRules: the alert rules for Prometheus are of metrics that exist, and say how bad it is and what to do.
func TestRules(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(Root(t), "docs/monitoring/alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For    string
				Labels, Annotations map[string]string
			}
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	known, used, names := Read(t), map[string]bool{}, map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if names[r.Alert] || !strings.HasPrefix(r.Alert, "Vigo") || r.For == "" || !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) ||
				r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("rule %q of %s lacks something", r.Alert, g.Name)
			}
			names[r.Alert] = true
			checkExpr(t, r.Alert, r.Expr, known, used)
		}
	}
	if len(names) < 12 {
		t.Errorf("%d rules", len(names))
	}
}

var (
	metricName = regexp.MustCompile(`\b(vigo_[a-z_]+)(\{[^}]*\})?`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"`)
	grouping   = regexp.MustCompile(`\b(?:by|on|ignoring|without)\s*\(([^)]*)\)`)
	variable   = regexp.MustCompile(`\$(?:__)?[a-zA-Z_]+`)
)

// checkExpr checks an expression of PromQL as far as that can be done without its parser: brackets, metrics, labels.
func checkExpr(t *testing.T, where, expr string, known map[string]Metric, used map[string]bool) {
	t.Helper()
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(expr, pair[:1]) != strings.Count(expr, pair[1:]) {
			t.Errorf("%s: %s: brackets do not match", where, expr)
		}
	}
	labels := []string{"instance", "job", "le"}
	found := metricName.FindAllStringSubmatch(expr, -1)
	if len(found) == 0 && !strings.Contains(expr, "process_") && !strings.Contains(expr, "go_") && !strings.Contains(expr, "up{") {
		t.Errorf("%s: %s: no metric of Vigo", where, expr)
	}
	for _, m := range found {
		name, ok := known[m[1]]
		if !ok {
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				if base, is := known[strings.TrimSuffix(m[1], end)]; is && strings.HasSuffix(m[1], end) && base.Type == "histogram" {
					name, ok = base, true
				}
			}
		}
		if !ok {
			t.Errorf("%s: %s is not served", where, m[1])
			continue
		}
		used[name.Name] = true
		labels = append(labels, name.Labels...)
		for _, l := range matcher.FindAllStringSubmatch(variable.ReplaceAllString(m[2], "x"), -1) {
			if !slices.Contains(name.Labels, l[1]) && !slices.Contains(labels[:3], l[1]) {
				t.Errorf("%s: %s has no label %s", where, name.Name, l[1])
			}
		}
		if counter := name.Type == "counter"; counter && !regexp.MustCompile(`(rate|increase)\(`+regexp.QuoteMeta(m[1])).MatchString(expr) {
			t.Errorf("%s: %s: the value of a counter says nothing, its rate does", where, expr)
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for _, l := range strings.FieldsFunc(g[1], func(r rune) bool { return r == ',' || r == ' ' }) {
			if !slices.Contains(labels, l) {
				t.Errorf("%s: %s: no label %s", where, expr, l)
			}
		}
	}
}
