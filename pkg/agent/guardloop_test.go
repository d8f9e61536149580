package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/host"
)

// loop runs the agent of a rig in a bubble of time, for as long as check takes.
func loop(t *testing.T, away bool, check func(r *rig, a *Agent)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if err := os.WriteFile(filepath.Join(r.root, "etc/motd"), []byte("old\n"), 0o604); err != nil {
			t.Fatal(err)
		}
		r.publish(motdPolicy("", map[string]string{"modules/motd/module.yaml": guarded}))
		if away {
			r.service.away = errors.New("no route to host")
		}
		began := time.Now()
		a := r.start(func(c *Config) {
			c.Boot = func() (string, time.Duration, error) { return "one", time.Since(began), nil }
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- a.Run(ctx) }()
		check(r, a)
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// The agent that runs takes a change back when its time is over to the second, although its interval is another one, and checks
// in often meanwhile.
func TestTheLoopTakesBackInTime(t *testing.T) {
	t.Parallel()
	loop(t, true, func(r *rig, _ *Agent) {
		synctest.Wait()
		r.wantMotd("new")
		before := r.service.times()
		time.Sleep(5*time.Minute - time.Second)
		synctest.Wait()
		r.wantMotd("new")
		if asked := r.service.times() - before; asked < 50 || asked > 80 {
			t.Errorf("it checked in %d times in 5 minutes, want about 60", asked)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.wantMotd("old")
	})
}

// A check-in in the last second is in time.
func TestTheLoopKeepsWhatIsConfirmedInTheEnd(t *testing.T) {
	t.Parallel()
	loop(t, true, func(r *rig, _ *Agent) {
		time.Sleep(5*time.Minute - 8*time.Second)
		r.service.mu.Lock()
		r.service.away = nil
		r.service.mu.Unlock()
		time.Sleep(time.Hour)
		synctest.Wait()
		r.wantMotd("new")
		if states := r.waiting(t); len(states) > 0 {
			t.Errorf("status says %+v", states)
		}
	})
}

// stuck is a host whose programs never end by themselves.
type stuck struct{ host.Runner }

func (stuck) Run(ctx context.Context, _ host.Command) (host.Result, error) {
	<-ctx.Done()
	return host.Result{}, ctx.Err()
}

// A run that is under way when the time is over is ended: it may hang because the host is cut off.
func TestARunThatHangsDoesNotKeepTheHostCutOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, _, _ := guardRig(t)
		r.service.away = errors.New("no route to host")
		time.Sleep(time.Second) // bundles are published one after the other
		r.publish(motdPolicy("", map[string]string{"modules/motd/module.yaml": guarded +
			"  - exec: hang\n    command: [sleep, infinity]\n    always: true\n    timeout: 1h\n    requires: [\"file:/etc/motd\"]\n"}))
		began := time.Now()
		a := r.start(func(c *Config) {
			c.Boot = func() (string, time.Duration, error) { return "one", time.Since(began), nil }
			whole := c.NewHost
			c.NewHost = func() *host.Host {
				h := *whole()
				h.Run = stuck{h.Run}
				return &h
			}
		})
		run := cycle(t, a)
		if took := time.Since(began); took < 5*time.Minute || took > 5*time.Minute+guardLook {
			t.Errorf("the run ended after %s", took)
		}
		if want := "the run was ended before it was complete: " + errNotConfirmed.Error(); run.Error != want {
			t.Errorf("the run says %q, want %q: %+v", run.Error, want, run.Results)
		}
		r.wantMotd("new")
		a.takeBack(t.Context(), a.NewHost())
		r.wantMotd("old")
	})
}
