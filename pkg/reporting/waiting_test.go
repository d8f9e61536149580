package reporting

import (
	"slices"
	"testing"

	"vigo.dev/pkg/report"
)

// What waits for people is in the status as long as it waits, and in the events once when it begins and once when it ends.
func TestWaitingIsTold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	asked := func(digest string, by ...string) *report.Waiting {
		return &report.Waiting{Digest: digest, Commit: "c0ffee", Since: noon, Approved: by, Needs: 2, Missing: 2 - len(by), Reason: "too few"}
	}
	n := note()
	put := func(digest string, w *report.Waiting) {
		n.Digest, n.Waiting = digest, w
		must(t, r.PutChannels(t.Context(), []report.ChannelNote{n}))
	}
	put(older, asked(current))
	put(older, asked(current, "ada")) // no news for the events
	st, err := r.Status(t.Context(), 10)
	must(t, err)
	if w := st.Channels[0].Waiting; w == nil || w.Missing != 1 || !slices.Equal(w.Approved, []string{"ada"}) {
		t.Errorf("%+v", w)
	}
	put(current, nil)
	put(current, asked(older))
	put(current, nil)
	events, err := r.Events(t.Context(), 100)
	must(t, err)
	var kinds []string
	for _, e := range slices.Backward(events) {
		if e.Kind[:3] == "pro" {
			kinds = append(kinds, e.Kind)
		}
	}
	if want := []string{"promotion.waiting", "promotion.taken", "promotion.waiting", "promotion.dropped"}; !slices.Equal(kinds, want) {
		t.Errorf("events %v, want %v", kinds, want)
	}
}
