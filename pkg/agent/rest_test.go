package agent

import (
	"testing"
	"time"

	"vigo.dev/pkg/guard"
)

func TestAgentRestsOnlyBeforeALongSleep(t *testing.T) {
	t.Parallel()
	for interval, want := range map[time.Duration]int{30 * time.Second: 0, time.Minute: 1, time.Hour: 1} {
		rested := 0
		a := &Agent{Config: Config{Rest: func() error { rested++; return nil }}, interval: interval, guard: &guard.Keeper{}}
		a.rest()
		if rested != want {
			t.Errorf("with an interval of %s it rested %d times, want %d", interval, rested, want)
		}
	}
	(&Agent{interval: time.Hour}).rest() // without anything to call
}
