package dashboard

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

// nodePage is all about one node.
type nodePage struct {
	report.NodeDetail
	Row    nodeRow
	Bars   []runBar
	Last   *report.Run // newest that was not quiet; nil: none
	More   int         // results of Last that are not shown
	Line   []moment
	Traits []traitDoc
	Place  *report.RolloutNode // in the rollout of its channel; nil: there was none
}

// moment is something on the timeline of a node.
type moment struct {
	At          time.Time
	Class, Kind string
	Text        string
}

// traitDoc is a trait as paths and values.
type traitDoc struct {
	Name  string
	Pairs []pair
	More  int // that are not shown
}

type pair struct{ Path, Value string }

// The limits of what is shown of one node.
const (
	maxResults = 100
	maxPairs   = 1000 // of one trait
	maxMoments = 70
)

func (d *Dashboard) node(r *http.Request, p *page) error {
	name := r.PathValue("name")
	detail, err := d.Operators.Node(r.Context(), name)
	if err != nil {
		return err
	}
	q := report.Query{Name: name}
	if detail.Presence == report.Retired {
		q.Presence = report.Retired
	}
	traits, err := d.Operators.Traits(r.Context(), q, "")
	if err != nil {
		return err
	}
	n := nodePage{NodeDetail: detail, Row: nodeRow{detail.NodeStatus, p.Now}, Bars: runBars(detail.Runs), Line: timeline(detail)}
	if detail.Presence != report.Retired {
		if n.Place, err = d.rolloutOf(r, name); err != nil {
			return err
		}
	}
	if len(detail.Runs) > 0 {
		last := detail.Runs[0]
		if n.More = len(last.Results) - maxResults; n.More > 0 {
			last.Results = last.Results[:maxResults]
		}
		n.Last = &last
	}
	if len(traits) == 1 {
		for _, trait := range slices.Sorted(maps.Keys(traits[0].Traits)) {
			n.Traits = append(n.Traits, flattened(trait, traits[0].Traits[trait]))
		}
	}
	p.name, p.Title, p.Section, p.Node, p.Body, p.Command = "node", name, "nodes", name, n, "vigo node "+quoted(name)
	return nil
}

// timeline puts runs and events of a node, and what it said of itself anew, in one order, newest first.
func timeline(n report.NodeDetail) []moment {
	line := make([]moment, 0, len(n.Runs)+len(n.Events))
	for _, r := range n.Runs {
		line = append(line, moment{r.Started, string(r.Compliance()), "run", runText(r)})
	}
	for _, e := range n.Events {
		line = append(line, moment{e.At, eventClass(e.Kind), e.Kind, e.Text})
	}
	line = append(line, said(n)...)
	slices.SortStableFunc(line, func(a, b moment) int { return b.At.Compare(a.At) })
	return line[:min(len(line), maxMoments)]
}

// runText says in one line what a run did.
func runText(r report.Run) string {
	parts := []string{}
	for _, c := range []struct {
		n    int
		word string
	}{{r.Counts.Failed, "failed"}, {r.Counts.Drift, "drift"}, {r.Counts.Skipped, "skipped"}, {r.Counts.Corrected, "corrected"}, {r.Counts.Changed, "changed"}, {r.Counts.OK, "ok"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	text := fmt.Sprintf("%s in %s, commit %s", cmp.Or(strings.Join(parts, ", "), "nothing"), span.Of(r.Took), short(r.Commit))
	if r.Error != "" {
		text += ": " + r.Error
	}
	return text
}

// eventClass is the state that a kind of event looks like.
func eventClass(kind string) string {
	switch kind {
	case "node.stale", "promotion.waiting", "channel.rewritten", report.EventRolloutApproval, report.EventRolloutPaused, "rollout.evidence-blind", "rollout.reverting", "rollout.reverted":
		return "stale"
	case "node.missing", "node.refused", "request.refused", "channel.error", "hub.dark", report.EventRolloutAborted, report.EventReboot:
		return "failed"
	case "node.back", "node.settled", "hub.back", "channel.published", "promotion.taken", report.EventRolloutCompleted, "reboot.back":
		return "ok"
	}
	return "never"
}

// flattened makes paths and values of a document, sorted as its keys are.
func flattened(name string, doc any) traitDoc {
	t := traitDoc{Name: name}
	t.add("", doc)
	if t.More = len(t.Pairs) - maxPairs; t.More > 0 {
		t.Pairs = t.Pairs[:maxPairs]
	}
	return t
}

func (t *traitDoc) add(path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			t.add(strings.TrimPrefix(path+"."+key, "."), v[key])
		}
		if len(v) > 0 {
			return
		}
	case []any:
		if len(v) > 0 && slices.ContainsFunc(v, func(e any) bool { _, deep := e.(map[string]any); return deep }) {
			for i, e := range v {
				t.add(fmt.Sprintf("%s[%d]", path, i), e)
			}
			return
		}
	}
	t.Pairs = append(t.Pairs, pair{path, valueText(v)})
}
