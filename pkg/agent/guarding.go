package agent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
)

// guardBeat is the longest silence while a guarded change waits for a check-in.
const guardBeat = 5 * time.Second

// guardLook is how often the time of a guarded change is looked at: the timers of a process stand still while a machine sleeps.
const guardLook = 10 * time.Second

var errNotConfirmed = errors.New("no check-in has confirmed a guarded change in time")

// takeBack puts back the guarded changes whose time is over, before anything else is done.
func (a *Agent) takeBack(ctx context.Context, h *host.Host) {
	a.retry()
	reverted, err := a.guard.Revert(ctx, h)
	a.trouble(err)
	for _, name := range reverted {
		a.Log.Warn("a guarded change was taken back: no check-in has confirmed it", "resource", name)
	}
	if len(reverted) > 0 {
		a.trouble(a.journal.Forget(reverted))
	}
}

// retry lets what was taken back be tried again, if an operator has asked for that.
func (a *Agent) retry() {
	path := a.State.Path(retryFile)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = a.guard.Retry()
	}
	if err == nil {
		err = atomicfile.Remove(path)
	}
	a.trouble(err)
}

// AskRetry has the agent of a state directory try again, in its next cycle, what was taken back; it may be running.
func AskRetry(s State) error { return atomicfile.Write(s.Path(retryFile), nil, 0o600) }

// untilDue returns a context that ends when a guarded change must be taken back: whatever the agent is at then may itself
// hang because the host is cut off.
func (a *Agent) untilDue(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		for ctx.Err() == nil {
			wait := time.Duration(-1)
			if left, waiting := a.guard.Left(); waiting {
				if wait = min(left, guardLook); left <= 0 && !a.guard.Stuck() {
					cancel(errNotConfirmed)
					return
				}
			}
			a.untilGuardChanges(ctx, wait)
		}
	}()
	return ctx, func() { cancel(nil) }
}

// untilGuardChanges waits for ctx, for a change of what is guarded, or as long as wait says; a negative one is without end.
func (a *Agent) untilGuardChanges(ctx context.Context, wait time.Duration) {
	var look <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(max(wait, time.Second))
		defer timer.Stop()
		look = timer.C
	}
	select {
	case <-ctx.Done():
	case <-a.guard.Changed():
		if a.guard.Mark() > 0 {
			a.nudgeCheckIn()
		}
	case <-look:
	}
}

// confirming checks in while guarded changes of a single cycle wait for that.
func (a *Agent) confirming(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		}
		for a.guard.Mark() > 0 && ctx.Err() == nil {
			if err := a.CheckIn(ctx); err != nil && ctx.Err() == nil { // else the cycle has ended, and confirms by itself
				a.Log.Warn("a guarded change waits for a check-in", "err", err)
				sleep(ctx, guardBeat)
			}
		}
	}
}

// confirmed waits, after a single cycle, until its guarded changes are confirmed. If they are not in time they are taken back,
// and the run that follows says so.
func (a *Agent) confirmed(ctx context.Context, run report.Run, err error) (report.Run, error) {
	for ctx.Err() == nil {
		left, waiting := a.guard.Left()
		if !waiting {
			return run, err
		}
		if left <= 0 {
			return a.afterRevert(ctx)
		}
		if failed := a.CheckIn(ctx); failed != nil {
			a.Log.Warn("a guarded change waits for a check-in", "left", left.Round(time.Second), "err", failed)
			sleep(ctx, min(left, guardBeat))
		}
	}
	return run, err
}

// afterRevert takes back what was not confirmed, and converges and reports once more.
func (a *Agent) afterRevert(ctx context.Context) (report.Run, error) {
	h := a.NewHost()
	a.takeBack(ctx, h)
	run := a.converge(ctx, h, a.collect(ctx, h))
	if err := a.CheckIn(ctx); err != nil {
		a.Log.Warn("reporting; the run stays in the spool", "err", err)
	}
	return run, nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
