package span_test

import (
	"testing"
	"time"

	"vigo.dev/pkg/span"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 20*time.Millisecond + 300*time.Microsecond: "20ms", 12*time.Second + 400*time.Millisecond: "12s", 119 * time.Second: "1m59s",
		3*time.Minute + 20*time.Second: "3m", 2*time.Hour + 20*time.Minute: "2h", 47 * time.Hour: "47h", 5*24*time.Hour + time.Hour: "5d",
	} {
		if got := span.Of(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]string{
		{}: "never", now.Add(-3 * time.Minute): "3m ago", now: "0s ago", now.Add(-900 * time.Millisecond): "0s ago", now.Add(5 * time.Minute): "0s ago",
	} {
		if got := span.Ago(now, at); got != want {
			t.Errorf("%s: got %s, want %s", at, got, want)
		}
	}
}
