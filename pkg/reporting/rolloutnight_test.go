package reporting

import (
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/window"
)

// TestTheNightTheClockIsChanged: a rollout begins when its window opens by the clock on the wall, also in the nights in which
// that is changed, and only the time in which it is open counts for the deadline of a stage.
func TestTheNightTheClockIsChanged(t *testing.T) {
	t.Parallel()
	every := []time.Weekday{0, 1, 2, 3, 4, 5, 6}
	for name, tt := range map[string]struct {
		from, to int    // minutes of the window, in Amsterdam
		noon     string // before the night
		began    string
		used     time.Duration
	}{
		"usual":                         {60, 300, "2026-03-02T12:00:00Z", "2026-03-03T00:00:00Z", 4 * time.Hour},
		"an hour is jumped over":        {60, 300, "2026-03-28T12:00:00Z", "2026-03-29T00:00:00Z", 3 * time.Hour},
		"it begins in the missing hour": {150, 300, "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", 2 * time.Hour},
		"an hour comes twice":           {60, 300, "2026-10-24T12:00:00Z", "2026-10-24T23:00:00Z", 5 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := window.Window{Name: "night", Spans: []window.Span{{Days: every, From: tt.from, To: tt.to, Zone: "Europe/Amsterdam"}}}
			now, err := time.Parse(time.RFC3339, tt.noon)
			must(t, err)
			spec := rollout.Spec{Channel: "stable", Deadline: 24 * time.Hour, LostAfter: 3, Stages: []rollout.Stage{{Name: "all",
				Size: rollout.Share{Percent: 100}, Gate: rollout.Gate{Soak: time.Minute, Checkins: 2, Success: 100}}}}
			s := rollout.Begin("r", spec, "a", "b", nil, now)
			for range 24 * 60 {
				now = now.Add(time.Minute)
				s, _ = rollout.Step(s, rollout.Snapshot{Now: now, Open: w.Open(now),
					Nodes: []rollout.Node{{ID: "web-1", Stages: 1, Seen: now, Interval: time.Minute, Live: true, Digest: "a"}}}, nil)
			}
			if st := s.Stages[0]; st.Began.Format(time.RFC3339) != tt.began || st.Used != tt.used {
				t.Errorf("the stage began at %s, want %s, and has used %s of its deadline, want %s", st.Began.Format(time.RFC3339), tt.began, st.Used, tt.used)
			}
			if s.Phase != rollout.Running || s.Reason != rollout.WaitingWindow {
				t.Errorf("at noon it is %s (%s)", s.Phase, s.Reason)
			}
		})
	}
}
