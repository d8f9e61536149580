package reporting

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// serves has a node tell which controls its policy serves, how its last run went, and its results.
func (r *rig) serves(t *testing.T, name string, doc report.ControlDoc, run report.Run) {
	t.Helper()
	f := facet(t, report.ControlsTrait, doc)
	digests := map[string]string{f.Name: f.Digest}
	run.ID, run.Node, run.Started = fmt.Sprint(name, r.Now().UnixNano()), name, r.Now()
	for _, res := range run.Results {
		run.Counts.Add(res)
	}
	answer := r.checkIn(t, report.CheckIn{Node: name, Traits: trait.Root(digests), Facets: digests,
		Run: report.Summary{ID: run.ID, Started: run.Started, Counts: run.Counts, Error: run.Error}})
	if len(answer.Need) > 0 {
		must(t, r.PutFacets(t.Context(), name, report.Facets{Node: name, Facets: []trait.Facet{f}}))
	}
	if !run.Quiet() {
		must(t, r.PutRuns(t.Context(), name, []report.Run{run}))
	}
}

func (r *rig) controls(t *testing.T, control string) report.Controls {
	t.Helper()
	c, err := r.Controls(t.Context(), control)
	must(t, err)
	return c
}

// A control is as the worst of the resources that serve it, counted over the nodes whose policy serves it.
func TestControls(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	web := report.ControlDoc{"cis:1": {"sshd/file:/a", "sshd/service:ssh"}, "cis:2": {"sshd/file:/a"}, "cis:3": {"time/file:/b"}}
	for name, results := range map[string][]report.Result{
		"fine":    nil,
		"fixed":   {{ID: "sshd/file:/a", Outcome: report.Corrected, Controls: []string{"cis:1", "cis:2"}}},
		"failing": {{ID: "sshd/service:ssh", Outcome: report.Failed, Controls: []string{"cis:1"}}, {ID: "sshd/file:/a", Outcome: report.Drift, Controls: []string{"cis:1", "cis:2"}}},
		"waiting": {{ID: "sshd/file:/a", Outcome: report.Skipped, Controls: []string{"cis:1", "cis:2"}}},
		"other":   {{ID: "motd/file:/etc/motd", Outcome: report.Failed}},
	} {
		r.join(t, name)
		r.serves(t, name, web, report.Run{Counts: report.Counts{OK: 3}, Results: results})
	}
	r.join(t, "broken")
	r.serves(t, "broken", web, report.Run{Error: "no catalog"})
	r.join(t, "db")
	r.serves(t, "db", report.ControlDoc{"cis:3": {"time/file:/b"}}, report.Run{Counts: report.Counts{OK: 1}})
	r.join(t, "bare")
	r.checkIn(t, report.CheckIn{Node: "bare"})

	all := r.controls(t, "")
	want := []report.Control{{Name: "cis:1", Nodes: 6, OK: 3, Failed: 1, Skipped: 1, Unknown: 1}, {Name: "cis:2", Nodes: 6, OK: 3, Drift: 1, Skipped: 1, Unknown: 1},
		{Name: "cis:3", Nodes: 7, OK: 6, Unknown: 1}}
	if !slices.Equal(all.Controls, want) || all.Of != 8 || all.Lacking != 0 || len(all.Nodes) != 0 {
		t.Errorf("the controls are %+v", all)
	}
	one := r.controls(t, "cis:1")
	var got []string
	for _, n := range one.Nodes {
		got = append(got, fmt.Sprint(n.Node, " ", n.State, " ", strings.Join(n.Resources, " ")))
	}
	if strings.Join(got, "; ") != "failing failed sshd/service:ssh; waiting skipped sshd/file:/a; broken unknown sshd/file:/a sshd/service:ssh; "+
		"fine ok sshd/file:/a sshd/service:ssh; fixed ok sshd/file:/a sshd/service:ssh; other ok sshd/file:/a sshd/service:ssh" || !slices.Equal(one.Controls, want[:1]) {
		t.Errorf("of one control there are %q, %+v", got, one.Controls)
	}
	if none := r.controls(t, "cis:4"); len(none.Controls)+len(none.Nodes) != 0 {
		t.Errorf("of none there is %+v", none)
	}
	if worst := r.status(t).Worst; len(worst) != 2 {
		t.Errorf("what was skipped is among the worst modules: %+v", worst)
	}

	r.pass(time.Hour)
	r.serves(t, "failing", web, report.Run{Counts: report.Counts{OK: 3}})
	must(t, r.Retire(t.Context(), "broken"))
	want = []report.Control{{Name: "cis:1", Nodes: 5, OK: 4, Skipped: 1, Silent: 4}, {Name: "cis:2", Nodes: 5, OK: 4, Skipped: 1, Silent: 4}, {Name: "cis:3", Nodes: 6, OK: 6, Silent: 5}}
	if all = r.controls(t, ""); !slices.Equal(all.Controls, want) || all.Of != 7 {
		t.Errorf("an hour later the controls are %+v", all)
	}
	r.restart(t, time.Second)
	if all = r.controls(t, ""); !slices.Equal(all.Controls, want) {
		t.Errorf("after a restart the controls are %+v", all)
	}
}

// What a node says of controls is foreign: a document that is none counts for nothing, and one that has not come is told of.
func TestControlsOfStrangeDocuments(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, doc := range []any{"text", []string{"a"}, map[string]any{"cis:1": "not a list"}, map[string]any{"": nil, "cis:1": []any{1}}, nil} {
		name := fmt.Sprint("odd-", i)
		r.join(t, name)
		f := facet(t, report.ControlsTrait, doc)
		r.checkIn(t, report.CheckIn{Node: name, Traits: "x", Facets: map[string]string{f.Name: f.Digest}})
		must(t, r.PutFacets(t.Context(), name, report.Facets{Node: name, Facets: []trait.Facet{f}}))
	}
	r.join(t, "late")
	r.checkIn(t, report.CheckIn{Node: "late", Traits: "y", Facets: map[string]string{report.ControlsTrait: facet(t, report.ControlsTrait, "later").Digest}})
	if all := r.controls(t, ""); len(all.Controls) != 0 || all.Lacking != 1 || all.Of != 6 {
		t.Errorf("the controls are %+v", all)
	}
}

// BenchmarkControls counts 200 controls over 100,000 nodes of twenty policies, of which one in fifty fails.
func BenchmarkControls(b *testing.B) {
	s := &Service{Config: Config{Now: func() time.Time { return noon }}, nodes: map[string]*node{}}
	s.controlDocs.docs = map[string]*controlDoc{}
	s.known = map[string]bool{}
	for policy := range 20 {
		doc := report.ControlDoc{}
		for c := range 200 {
			doc[fmt.Sprintf("cis:%d", c)] = []string{fmt.Sprintf("m%d/file:/%d", c%7, c), fmt.Sprintf("m/package:%d-%d", c, policy)}
		}
		digest := fmt.Sprint(policy)
		data, err := json.Marshal(doc)
		if err != nil {
			b.Fatal(err)
		}
		s.controlDocs.docs[digest], s.known[digest] = newControlDoc(data), true
	}
	for i := range 100_000 {
		n := &node{seen: noon, told: half, facets: map[string]string{report.ControlsTrait: fmt.Sprint(i % 20)}, account: account{State: report.ComplianceOK}}
		n.Name = fmt.Sprint("node-", i)
		if i%50 == 0 {
			n.account.State, n.account.Failed = report.ComplianceFailed, map[string]string{"m0/file:/7": "failed"}
		}
		s.enter(n)
	}
	for _, control := range []string{"", "cis:7"} {
		b.Run("control="+control, func(b *testing.B) {
			for b.Loop() {
				if c, err := s.Controls(b.Context(), control); err != nil || len(c.Controls) == 0 {
					b.Fatal(len(c.Controls), err)
				}
			}
		})
	}
}
