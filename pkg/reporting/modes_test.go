package reporting

import (
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// inModes has a node tell which modes it is in.
func (r *rig) inModes(t *testing.T, name string, doc agentDoc) {
	t.Helper()
	f := facet(t, agentTrait, doc)
	digests := map[string]string{f.Name: f.Digest}
	if answer := r.checkIn(t, report.CheckIn{Node: name, Traits: trait.Root(digests), Facets: digests}); len(answer.Need) > 0 {
		must(t, r.PutFacets(t.Context(), name, report.Facets{Node: name, Facets: []trait.Facet{f}}))
	}
}

// TestModesCountNodes: who is there, who is not, who is not heard of, and who could not be flipped.
func TestModesCountNodes(t *testing.T) {
	r := newRig(t)
	if list, err := r.Modes(t.Context(), ""); err != nil || list == nil || len(list) != 0 {
		t.Errorf("before anything is published: %v, %v", list, err)
	}
	n := note()
	n.Modes = []report.Mode{{Name: "containment"}, {Name: "dr", On: true, Ordered: r.Now(), Note: "ams1 burns", Keys: []string{"a"}}}
	r.publish(t, n)
	for _, name := range []string{"gone", "there", "lags", "mute"} {
		r.join(t, name)
	}
	r.inModes(t, "gone", agentDoc{})
	r.listenUntil(t, r.Now().Add(10*time.Minute))
	r.inModes(t, "there", agentDoc{Modes: []string{"dr"}})
	r.inModes(t, "lags", agentDoc{Unready: []string{"dr"}})
	r.checkIn(t, report.CheckIn{Node: "mute"})
	list, err := r.Modes(t.Context(), "stable")
	must(t, err)
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	off, on := list[0], list[1]
	if on.Name != "dr" || on.Nodes != 4 || on.There != 1 || on.Silent != 1 || !slices.Equal(on.Gone, []string{"gone"}) || !slices.Equal(on.Lagging, []string{"lags", "mute"}) || !slices.Equal(on.Unready, []string{"lags"}) || on.Note != "ams1 burns" {
		t.Errorf("%+v", on)
	}
	if off.On || off.There != 3 || len(off.Unready) != 0 {
		t.Errorf("%+v", off)
	}
	if list, err := r.Modes(t.Context(), "other"); err != nil || len(list) != 0 {
		t.Errorf("of a channel that is not there: %v, %v", list, err)
	}
	n.Modes = []report.Mode{{Name: "containment"}, {Name: "dr", Policy: false}}
	r.publish(t, n)
	r.publish(t, n)
	events, err := r.Events(t.Context(), 20)
	must(t, err)
	var said []string
	for _, e := range events {
		if e.Kind == "mode.flipped" {
			said = append(said, e.Text)
		}
	}
	if want := []string{"stable: mode dr is off, as policy says", "stable: mode dr is ON, ordered by 1 people: ams1 burns"}; !slices.Equal(said, want) {
		t.Errorf("events say %q, want %q", said, want)
	}
}
