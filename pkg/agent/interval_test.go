package agent

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/report"
)

// idle is an agent without anything to do.
func idle(t *testing.T, interval time.Duration) *Agent {
	t.Helper()
	s, err := OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sp, err := openSpool(s.Path(spoolDir), false)
	if err != nil {
		t.Fatal(err)
	}
	return &Agent{Config: Config{State: s, Enrolment: Enrolment{Node: "web-1", Fleet: "lab", Channel: "main"}, Log: slog.New(slog.DiscardHandler),
		Now: time.Now, Jitter: func() float64 { return 0.5 }, Service: &recorder{}},
		interval: interval, spool: sp, wake: make(chan struct{}, 1), retimed: make(chan struct{}, 1), guard: &guard.Keeper{}}
}

func TestCyclesAreSpreadWithinTheInterval(t *testing.T) {
	t.Parallel()
	a := idle(t, time.Minute)
	for jitter, want := range map[float64]time.Duration{0: 48 * time.Second, 0.5: 51 * time.Second, 0.999999: 54 * time.Second} {
		a.Jitter = func() float64 { return jitter }
		if got := a.spread().Round(time.Millisecond); got != want {
			t.Errorf("with jitter %v: %s, want %s", jitter, got, want)
		}
	}
}

func TestTheIntervalThatIsToldHoldsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := idle(t, time.Hour)
		began := time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			a.heed(report.Answer{Interval: 15 * time.Second}, "")
		}()
		if !a.pause(t.Context(), began) || time.Since(began).Round(time.Millisecond) != 12750*time.Millisecond {
			t.Errorf("the next cycle came after %s", time.Since(began))
		}
		began = time.Now()
		go func() {
			time.Sleep(10 * time.Second)
			a.heed(report.Answer{Interval: time.Hour}, "")
		}()
		if !a.pause(t.Context(), began) || time.Since(began).Round(time.Millisecond) != 51*time.Minute {
			t.Errorf("the next cycle came after %s", time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if a.pause(ctx, time.Now()) {
			t.Error("it waited though it was told to end")
		}
	})
}

func TestWhatTheServiceSaysIsKeptForTheNextStart(t *testing.T) {
	t.Parallel()
	a := idle(t, time.Hour)
	a.heed(report.Answer{Interval: 15 * time.Second, Labels: map[string]string{"role": "db"}}, "")
	e, err := a.State.LoadEnrolment()
	if err != nil || e.Interval != 15*time.Second || !maps.Equal(e.Labels, map[string]string{"role": "db"}) {
		t.Errorf("kept: %+v, %v", e, err)
	}
	a.heed(report.Answer{Interval: time.Nanosecond}, "")
	if a.interval != minInterval {
		t.Errorf("a service can ask for %s", a.interval)
	}
}

// TestASilentServiceIsAskedEveryInterval: no storm of requests, and no end of them either.
func TestASilentServiceIsAskedEveryInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := idle(t, 15*time.Second)
		down := &recorder{away: errors.New("it is down")}
		a.Service = down
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute+time.Second)
		defer cancel()
		a.heartbeat(ctx)
		if n := down.times(); n != 20 {
			t.Errorf("%d check-ins in five minutes, want 20", n)
		}
	})
}
