package sqlstore

import (
	"fmt"
	"slices"
	"testing"
)

// TestRolloutDocs are found by what stands in them, in the order of their keys; and the channels that have some, however many.
func TestRolloutDocs(t *testing.T) { everyDatabase(t, testRolloutDocs) }

func testRolloutDocs(t *testing.T, fresh opener) {
	db, _ := fresh(t)
	if channels, err := db.RolloutChannels(t.Context()); err != nil || len(channels) != 0 {
		t.Errorf("at first: %v, %v", channels, err)
	}
	for _, channel := range []string{"stable", "canary", "Ünter ? %"} {
		docs := map[string][]byte{"state": []byte(`{"word":"failed"}`)}
		for i := range 30 {
			word := "healthy"
			if i%10 == 3 {
				word = "failed"
			}
			docs[fmt.Sprintf("n:node-%02d", i)] = fmt.Appendf(nil, `{"word":%q,"text":"ä"}`, word)
		}
		if err := db.PutRollout(t.Context(), channel, docs); err != nil {
			t.Fatal(err)
		}
	}
	channels, err := db.RolloutChannels(t.Context())
	if slices.Sort(channels); err != nil || !slices.Equal(channels, []string{"canary", "stable", "Ünter ? %"}) {
		t.Errorf("channels are %q, %v", channels, err)
	}
	for part, want := range map[string]string{`"word":"failed"`: "n:node-03 n:node-13 of 3", `"word":"lost"`: "of 0", `"word":`: "n:node-00 n:node-01 of 30"} {
		docs, matched, err := db.RolloutDocsWith(t.Context(), "stable", "n:", part, 2)
		got := ""
		for _, d := range docs {
			got += d.Key + " "
		}
		if got = fmt.Sprintf("%sof %d", got, matched); err != nil || got != want {
			t.Errorf("with %s: %q, want %q; %v", part, got, want, err)
		}
	}
}
