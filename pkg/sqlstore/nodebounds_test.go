package sqlstore

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// TestNodeBounds: of one node no more than its share is kept, the newest; the others keep all of theirs, and until when it was
// forgotten is known for as long as that means anything.
func TestNodeBounds(t *testing.T) { everyDatabase(t, testNodeBounds) }

func testNodeBounds(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	at := func(second int) time.Time { return noon.Add(time.Duration(second) * time.Second) }
	loud := []report.Result{{ID: "a/file:/b", Outcome: report.Changed}}
	for i := range 10 {
		for _, node := range []string{"web-1", "web-2"} {
			if node == "web-2" && i >= 3 {
				continue
			}
			must(t, d.PutRuns(t.Context(), node, []report.Run{{ID: fmt.Sprint("loud-", i), Results: loud}, {ID: fmt.Sprint("quiet-", i)}}, at(i)))
			must(t, d.PutEvents(t.Context(), report.Event{At: at(i / 4), Node: node, Kind: "node.stale"}))
		}
	}
	keep := Retention{Runs: Limit{Node: 3, Age: time.Hour}, Quiet: Limit{Node: 4, Age: time.Hour}, Events: Limit{Node: 5, Age: time.Hour}, History: Limit{Node: 6, Age: time.Hour}}
	over, err := d.PruneNode(t.Context(), "web-1", keep)
	if err != nil || fmt.Sprint(over) != "[runs quiet events history]" {
		t.Errorf("too much of %v, %v", over, err)
	}
	if over, err := d.PruneNode(t.Context(), "web-2", keep); err != nil || len(over) > 0 {
		t.Errorf("of the other one too much of %v, %v", over, err)
	}
	_, err = d.Prune(t.Context(), keep, at(20))
	must(t, err)
	for node, want := range map[string]string{"web-1": "7 5 6", "web-2": "6 3 3"} {
		runs, err := d.Runs(t.Context(), node, 100, true)
		must(t, err)
		events, err := d.Events(t.Context(), node, 100)
		must(t, err)
		history, err := d.ResourceHistory(t.Context(), report.HistoryQuery{Node: node}, Before{}, 100)
		must(t, err)
		if got := fmt.Sprint(len(runs), len(events), len(history)); got != want {
			t.Errorf("of %s are kept %s, want %s", node, got, want)
		}
		if newest := runs[0].ID; !strings.HasSuffix(newest, map[string]string{"web-1": "-9", "web-2": "-2"}[node]) {
			t.Errorf("the newest run of %s is %s", node, newest)
		}
	}
	dropped, err := d.DroppedOf(t.Context(), "web-1")
	must(t, err)
	for class, last := range map[string]int{"runs": 6, "quiet": 5, "events": 1, "history": 3} {
		if got := dropped[class]; got.Before(at(last)) || !got.Before(at(last+1)) {
			t.Errorf("%s: dropped until %s, not %s", class, got, at(last))
		}
	}
	if dropped, err := d.DroppedOf(t.Context(), "web-2"); err != nil || len(dropped) > 0 {
		t.Errorf("of the other one: %v, %v", dropped, err)
	}
	tight := Retention{Events: Limit{Node: 1}}
	if all, err := d.PruneNodes(t.Context(), tight, at(20)); err != nil || fmt.Sprint(all) != "map[web-1:[events] web-2:[events]]" {
		t.Errorf("too much is %v, %v", all, err)
	}
	if all, err := d.PruneNodes(t.Context(), keep, at(20).Add(time.Hour)); err != nil || len(all) > 0 {
		t.Errorf("those have too much: %v, %v", all, err)
	}
	if dropped, err := d.DroppedOf(t.Context(), "web-1"); err != nil || len(dropped) > 0 {
		t.Errorf("when all of that time is gone: %v, %v", dropped, err)
	}
}

// TestLargeRuns: runs that are large go sooner than their number says.
func TestLargeRuns(t *testing.T) { everyDatabase(t, testLargeRuns) }

func testLargeRuns(t *testing.T, fresh opener) {
	d, _ := fresh(t)
	for i := range 10 {
		noise := make([]byte, 4*rowBytes/3) // which cannot be packed
		_, err := rand.Read(noise)
		must(t, err)
		large := report.Result{ID: "a/file:/b", Outcome: report.Failed, Reason: base64.StdEncoding.EncodeToString(noise)}
		must(t, d.PutRuns(t.Context(), "web-1", []report.Run{{ID: fmt.Sprint("run-", i), Results: []report.Result{large}}}, noon.Add(time.Duration(i)*time.Second)))
	}
	if over, err := d.PruneNode(t.Context(), "web-1", Retention{Runs: Limit{Node: 10}}); err != nil || fmt.Sprint(over) != "[runs]" {
		t.Errorf("too much of %v, %v", over, err)
	}
	runs, err := d.Runs(t.Context(), "web-1", 100, true)
	must(t, err)
	if len(runs) < 5 || len(runs) > 9 || runs[0].ID != "run-9" {
		t.Errorf("%d runs are kept, from %s on back", len(runs), runs[0].ID)
	}
}
