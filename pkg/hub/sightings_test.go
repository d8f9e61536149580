package hub

import (
	"fmt"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

var noonTime = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// quiet is the check-in of a node with which all is well; every run has another ID and time.
func quiet(run int) report.CheckIn {
	return report.CheckIn{Node: "web-1", Bundle: "sha256:1", Age: time.Duration(run) * time.Minute, Traits: "t",
		Run: report.Summary{ID: fmt.Sprint(run), Started: noonTime.Add(time.Duration(run) * time.Minute), Counts: report.Counts{OK: 7}}}
}

// A hub speaks for a node as long as it says the same, and all is well, and the service has had its own word not too long ago.
func TestWhomAHubSpeaksFor(t *testing.T) {
	t.Parallel()
	with := func(change func(*report.CheckIn)) report.CheckIn {
		c := quiet(2)
		change(&c)
		return c
	}
	for what, c := range map[string]struct {
		first report.CheckIn
		said  report.Answer
		then  report.CheckIn
		after time.Duration
		want  bool
	}{
		"the same":                  {quiet(1), report.Answer{}, quiet(2), time.Minute, true},
		"another bundle":            {quiet(1), report.Answer{}, with(func(c *report.CheckIn) { c.Bundle = "sha256:2" }), time.Minute, false},
		"other traits":              {quiet(1), report.Answer{}, with(func(c *report.CheckIn) { c.Traits = "u" }), time.Minute, false},
		"other counts":              {quiet(1), report.Answer{}, with(func(c *report.CheckIn) { c.Run.Counts.OK = 8 }), time.Minute, false},
		"a run of another bundle":   {with(func(c *report.CheckIn) { c.Run.Before = true }), report.Answer{}, quiet(2), time.Minute, false},
		"no run yet":                {with(func(c *report.CheckIn) { c.Run.ID = "" }), report.Answer{}, quiet(2), time.Minute, false},
		"too long ago":              {quiet(1), report.Answer{}, quiet(2), passEvery, false},
		"the service wants names":   {quiet(1), report.Answer{Names: true}, quiet(2), time.Minute, false},
		"the service lacks a facet": {quiet(1), report.Answer{Need: []string{"x"}}, quiet(2), time.Minute, false},
		"a failure, twice":          {with(func(c *report.CheckIn) { c.Run.Counts.Failed = 1 }), report.Answer{}, with(func(c *report.CheckIn) { c.Run.Counts.Failed = 1 }), time.Minute, false},
		"an error, twice":           {with(func(c *report.CheckIn) { c.Run.Error = "x" }), report.Answer{}, with(func(c *report.CheckIn) { c.Run.Error = "x" }), time.Minute, false},
		"a refusal, twice":          {with(func(c *report.CheckIn) { c.Refusals = make([]report.Refusal, 1) }), report.Answer{}, with(func(c *report.CheckIn) { c.Refusals = make([]report.Refusal, 1) }), time.Minute, false},
		"a change, twice":           {with(func(c *report.CheckIn) { c.Run.Counts.Changed = 1 }), report.Answer{}, with(func(c *report.CheckIn) { c.Run.Counts.Changed = 1 }), time.Minute, false},
	} {
		s := newSightings()
		if known, _ := s.Known(c.first, noonTime); known {
			t.Errorf("%s: the first is known already", what)
		}
		c.said.Interval = 30 * time.Second
		s.Passed(c.first, c.said, noonTime)
		if known, interval := s.Known(c.then, noonTime.Add(c.after)); known != c.want || interval != 30*time.Second {
			t.Errorf("%s: known %t, want %t; interval %s", what, known, c.want, interval)
		}
	}
}

// What a hub has seen is told once, and again when that did not arrive; who the service wants to hear is not spoken for.
func TestWhatAHubTells(t *testing.T) {
	t.Parallel()
	s := newSightings()
	s.Known(quiet(1), noonTime)
	s.Passed(quiet(1), report.Answer{}, noonTime)
	if list, nodes := s.Take(noonTime); len(list) != 0 || nodes != 1 {
		t.Errorf("after its own word: %v of %d nodes", list, nodes)
	}
	s.Known(quiet(2), noonTime.Add(time.Minute))
	list, _ := s.Take(noonTime.Add(time.Minute + time.Second))
	if len(list) != 1 || list[0] != (report.Sighting{Node: "web-1", Age: time.Second}) {
		t.Errorf("it tells %v", list)
	}
	s.Untold(list)
	if again, _ := s.Take(noonTime.Add(time.Minute + 3*time.Second)); len(again) != 1 || again[0].Age != 3*time.Second {
		t.Errorf("after a report that was lost it tells %v", again)
	}
	if again, _ := s.Take(noonTime.Add(time.Minute)); len(again) != 0 {
		t.Errorf("it tells %v twice", again)
	}
	s.Verbatim([]string{"web-1", "web-9"})
	if known, _ := s.Known(quiet(3), noonTime.Add(time.Minute)); known {
		t.Error("it speaks for one whom the service wants to hear")
	}
	if _, nodes := s.Take(noonTime.Add(nodesLife + 2*time.Minute)); nodes != 0 {
		t.Error("a node that is gone for a day is remembered")
	}
}

// After a check-in of which nobody knows whether it has arrived, the node is not spoken for: the service may have that one, or
// the one before.
func TestAHubThatIsInDoubt(t *testing.T) {
	t.Parallel()
	s := newSightings()
	s.Known(quiet(1), noonTime)
	s.Passed(quiet(1), report.Answer{}, noonTime)
	s.Doubt("web-1")
	if known, _ := s.Known(quiet(2), noonTime.Add(time.Minute)); known {
		t.Error("it speaks for a node of which the service may know something else")
	}
	if list, _ := s.Take(noonTime.Add(time.Minute)); len(list) != 1 {
		t.Errorf("that the node was there is told all the same, got %v", list)
	}
}

// Nodes are handed on at different times: a site that started at once does not come back at once.
func TestNodesAreSpread(t *testing.T) {
	t.Parallel()
	minutes := map[int]int{}
	for i := range 1000 {
		d := spread(fmt.Sprint("web-", i))
		if d < passEvery/2 || d > passEvery {
			t.Fatalf("web-%d is handed on after %s", i, d)
		}
		minutes[int(d.Minutes())]++
	}
	for minute := 5; minute < 10; minute++ {
		if minutes[minute] < 100 {
			t.Errorf("of a thousand, %d are handed on in minute %d", minutes[minute], minute)
		}
	}
}

// A hub looks often enough for its most impatient node, and not more often than it must.
func TestAHubLooksAsOftenAsItsNodesNeed(t *testing.T) {
	t.Parallel()
	h := &Hub{nodes: newSightings(), Enrolment: Enrolment{Interval: time.Minute}}
	told := func(node string, interval time.Duration) {
		c := report.CheckIn{Node: node}
		h.nodes.Known(c, time.Now())
		h.nodes.Passed(c, report.Answer{Interval: interval}, time.Now())
	}
	want := func(want time.Duration) {
		t.Helper()
		if got := h.pollEvery(); got != want {
			t.Errorf("it looks every %s, want %s", got, want)
		}
	}
	want(3 * time.Second) // what it was told at its enrolment
	told("web-1", time.Hour)
	want(time.Minute)
	told("web-2", 30*time.Second)
	want(1500 * time.Millisecond)
	told("web-3", 2*time.Second)
	want(time.Second)
	h.Poll = 10 * time.Second
	want(10 * time.Second)
}
