package window_test

import (
	"testing"
	"time"

	"vigo.dev/pkg/window"
)

func at(t *testing.T, zone, text string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	when, err := time.ParseInLocation("2006-01-02 15:04", text, loc)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func every() []time.Weekday { return []time.Weekday{0, 1, 2, 3, 4, 5, 6} }

const amsterdam = "Europe/Amsterdam"

// 2026-03-02 is a Monday.
func TestOpen(t *testing.T) {
	t.Parallel()
	weekdays := window.Span{Days: []time.Weekday{1, 2, 3, 4, 5}, From: 22 * 60, To: 6 * 60, Zone: amsterdam}
	day := window.Span{Days: []time.Weekday{6}, From: 0, To: 24 * 60, Zone: "UTC"}
	tests := []struct {
		span window.Span
		when string
		want bool
	}{
		{weekdays, "2026-03-02 21:59", false},
		{weekdays, "2026-03-02 22:00", true},
		{weekdays, "2026-03-03 05:59", true},
		{weekdays, "2026-03-03 06:00", false},
		{weekdays, "2026-03-02 03:00", false}, // belongs to Sunday
		{weekdays, "2026-03-07 03:00", true},  // belongs to Friday
		{weekdays, "2026-03-07 22:30", false},
		{day, "2026-03-07 00:59", false}, // 23:59 on Friday in UTC
		{day, "2026-03-07 01:00", true},
		{day, "2026-03-08 00:59", true},
		{day, "2026-03-08 01:00", false},
		{window.Span{Days: every(), From: 0, To: 1440, Zone: "Mars/Olympus"}, "2026-03-07 12:00", false},
	}
	for _, tt := range tests {
		if got := (window.Window{Spans: []window.Span{tt.span}}).Open(at(t, amsterdam, tt.when)); got != tt.want {
			t.Errorf("%v at %s: %v", tt.span, tt.when, got)
		}
	}
	if !(window.Window{}).Open(time.Time{}) {
		t.Error("the zero window is closed")
	}
}

// The clock on the wall decides on the days it is changed: 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00.
func TestDaylightSaving(t *testing.T) {
	t.Parallel()
	span := func(from, to int) window.Window {
		return window.Window{Name: "w", Spans: []window.Span{{Days: every(), From: from, To: to, Zone: amsterdam}}}
	}
	minutes := func(w window.Window, from time.Time) int {
		n := 0
		for m := range 24 * 60 {
			if w.Open(from.Add(time.Duration(m) * time.Minute)) {
				n++
			}
		}
		return n
	}
	spring, autumn, usual := at(t, amsterdam, "2026-03-28 12:00"), at(t, amsterdam, "2026-10-24 12:00"), at(t, amsterdam, "2026-03-02 12:00")
	for _, tt := range []struct {
		from, to              int
		spring, usual, autumn int
	}{
		{60, 300, 180, 240, 300}, // 01:00-05:00 is an hour shorter or longer
		{135, 165, 0, 30, 60},    // 02:15-02:45 does not come, or twice
		{180, 240, 60, 60, 60},
	} {
		w := span(tt.from, tt.to)
		if a, b, c := minutes(w, spring), minutes(w, usual), minutes(w, autumn); a != tt.spring || b != tt.usual || c != tt.autumn {
			t.Errorf("%d-%d is open %d, %d and %d minutes", tt.from, tt.to, a, b, c)
		}
	}
	for _, tt := range []struct {
		from, to  int
		now, next string
	}{
		{60, 300, "2026-03-28 12:00", "2026-03-29 01:00 CET"},
		{150, 300, "2026-03-28 12:00", "2026-03-29 03:00 CEST"}, // begins in the hour that does not come
		{135, 165, "2026-03-28 12:00", "2026-03-30 02:15 CEST"}, // does not come that day
		{135, 165, "2026-03-02 02:45", "2026-03-03 02:15 CET"},
	} {
		if got := span(tt.from, tt.to).Next(at(t, amsterdam, tt.now)).Format("2006-01-02 15:04 MST"); got != tt.next {
			t.Errorf("%d-%d at %s opens next %s, want %s", tt.from, tt.to, tt.now, got, tt.next)
		}
	}
}
