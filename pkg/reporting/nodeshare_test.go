package reporting

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trait"
)

// TestTalkativeNode: a node that reports without an end has its share of the store at once, not within the hour, and its status
// says so; the others keep theirs.
func TestTalkativeNode(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Keep = Keep{Retention: sqlstore.Retention{Runs: sqlstore.Limit{Age: time.Hour, Node: 50}, History: sqlstore.Limit{Age: time.Hour, Node: 30}}}
	r.join(t, "web-1")
	r.join(t, "web-2")
	put := func(node string, batches, each int) {
		for b := range batches {
			runs := make([]report.Run, each)
			for i := range runs {
				runs[i] = report.Run{ID: fmt.Sprintf("%d-%d", b, i), Node: node, Started: r.Now(), Results: []report.Result{{ID: "a/file:/b", Outcome: report.Changed}}}
			}
			must(t, r.PutRuns(t.Context(), node, runs))
			r.pass(time.Second)
		}
	}
	put("web-2", 1, 20)
	put("web-1", 40, 20)
	settle(t, r) // the event is on disk
	for node, want := range map[string]int{"web-1": 50, "web-2": 20} {
		runs, err := r.DB.Runs(t.Context(), node, 10_000, true)
		must(t, err)
		if len(runs) != want || node == "web-1" && !strings.HasPrefix(runs[0].ID, "39-") {
			t.Errorf("of %s are kept %d runs, the newest %s; want %d", node, len(runs), runs[0].ID, want)
		}
		d, err := r.Node(t.Context(), node)
		must(t, err)
		if told := !d.Dropped["runs"].IsZero() && !d.Dropped["history"].IsZero(); told != (node == "web-1") {
			t.Errorf("what the status of %s says was forgotten early: %v", node, d.Dropped)
		}
		kinds := r.eventKinds(t, node)
		if n := len(slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool { return kind != report.EventExcess })); n != map[string]int{"web-1": 1}[node] {
			t.Errorf("the events of %s are %q", node, kinds)
		}
		h, err := r.History(t.Context(), report.HistoryQuery{Node: node, Limit: 1000})
		must(t, err)
		if told := !h.Dropped.IsZero(); told != (node == "web-1") || len(h.Entries) != min(want, 30) {
			t.Errorf("the history of %s has %d entries, and says it is not whole: %v", node, len(h.Entries), told)
		}
	}
}

// TestTalkativeTraits: documents that a node sends stay for an hour, so it may send so many in one.
func TestTalkativeTraits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	send := func(text string) error {
		f := facet(t, "os", map[string]string{"family": text})
		r.checkIn(t, report.CheckIn{Node: "web-1", Seq: r.Now().UnixNano(), Traits: f.Digest, Facets: map[string]string{"os": f.Digest}})
		return r.PutFacets(t.Context(), "web-1", report.Facets{Node: "web-1", Facets: []trait.Facet{f}})
	}
	large := strings.Repeat("x", 7<<20)
	var err error
	sent := 0
	for ; err == nil && sent < 20; sent++ {
		r.pass(time.Second)
		err = send(fmt.Sprint(sent, large))
	}
	if !errors.Is(err, api.ErrTooMany) || sent != 10 {
		t.Errorf("after %d documents of 7 MiB: %v", sent, err)
	}
	r.pass(time.Hour)
	must(t, send("debian"))
}
