package controller

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/forge"
)

// stubborn is a forge that refuses a number of times.
type stubborn struct {
	fakeForge
	refuse int
	err    error
	tries  []time.Time
	last   told
}

func (s *stubborn) Tell(_ context.Context, commit string, state forge.State) error {
	s.tries = append(s.tries, time.Now())
	s.last = told{commit, state}
	if len(s.tries) <= s.refuse {
		return s.err
	}
	return nil
}

func TestWhatIsToldOfACommit(t *testing.T) {
	t.Parallel()
	h := newHerald(&fakeForge{}, "main", slog.New(slog.NewTextHandler(io.Discard, nil)))
	rev := Revision{Commit: "c1"}
	for name, tt := range map[string]struct {
		status Status
		want   forge.State
	}{
		"published": {Status{Seen: rev, Built: rev, Channels: []Channel{{Name: "production"}, {Name: "staging"}}}, forge.State{State: forge.Success, Text: "published on production, staging"}},
		"mistakes": {Status{Seen: rev, Failure: &Failure{Kind: FailedPolicy, Commit: "c1", Problems: []fault.Problem{
			{Pos: fault.Pos{File: "fleet.yaml", Line: 3, Col: 1}, Msg: "a"}, {Msg: "b"}}}}, forge.State{State: forge.Failure, Text: "fleet.yaml:3:1: a (and 1 more)", Link: "c1/fleet.yaml"}},
		"not signed":  {Status{Seen: rev, Failure: &Failure{Kind: FailedTrust, Commit: "c1", Message: "1 commits are not signed"}}, forge.State{State: forge.Failure, Text: "1 commits are not signed"}},
		"waits":       {Status{Seen: rev, Failure: &Failure{Kind: FailedApproval, Commit: "c1", Message: "waits"}}, forge.State{State: forge.Pending, Text: "waits"}},
		"no registry": {Status{Seen: rev, Failure: &Failure{Kind: FailedRegistry, Commit: "c1", Message: "gone"}}, forge.State{State: forge.Pending, Text: "gone"}},
		"not seen":    {Status{Failure: &Failure{Kind: FailedGit, Message: "gone"}}, forge.State{}},
		"not yet":     {Status{Seen: rev}, forge.State{}},
	} {
		got, ok := h.say(tt.status)
		if tt.want.State != "" {
			tt.want.Context = "vigo/main"
		}
		if ok != (tt.want.State != "") || got.state != tt.want || ok && got.commit != "c1" {
			t.Errorf("%s: %+v, %t, want %+v", name, got, ok, tt.want)
		}
	}
}

// A forge that does not answer is asked again, less and less often, and not for ever; what is newer comes first.
func TestTheForgeIsToldAgain(t *testing.T) {
	t.Parallel()
	published := func(commit string) Status {
		return Status{Seen: Revision{Commit: commit}, Built: Revision{Commit: commit}}
	}
	for name, tt := range map[string]struct {
		refuse int
		err    error
		tries  int
		took   time.Duration
	}{
		"at once":  {0, nil, 1, 0},
		"later":    {3, errors.New("down"), 4, 35 * time.Second},
		"never":    {100, errors.New("down"), tellTries, (5 + 10 + 20 + 40 + 80 + 160 + 300) * time.Second},
		"too much": {1, forge.ErrLimited, 2, tellLongest},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := &stubborn{refuse: tt.refuse, err: tt.err}
				var log strings.Builder
				h := newHerald(f, "main", slog.New(slog.NewTextHandler(&log, nil)))
				ctx, cancel := context.WithCancel(t.Context())
				go h.run(ctx)
				started := time.Now()
				h.note(published("c1"))
				time.Sleep(time.Hour) // of the bubble's clock
				synctest.Wait()
				if len(f.tries) != tt.tries || f.tries[len(f.tries)-1].Sub(started) != tt.took {
					t.Errorf("%d tries, the last after %s; want %d, %s", len(f.tries), f.tries[len(f.tries)-1].Sub(started), tt.tries, tt.took)
				}
				if given := strings.Contains(log.String(), "was not told"); given != (tt.tries == tellTries) {
					t.Errorf("the log says\n%s", log.String())
				}
				h.note(published("c1")) // again the same, by a controller that was told to
				h.note(published("c2"))
				synctest.Wait()
				if f.last.commit != "c2" {
					t.Errorf("told last of %s", f.last.commit)
				}
				cancel()
				synctest.Wait()
			})
		})
	}
}

// The controller itself is never held up.
func TestAForgeThatHangsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	f := &fakeForge{told: make(chan forge.State)} // nobody receives
	r.forge = f
	r.repo.Commit("one")
	c := r.start()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.herald.run(ctx) }()
	for _, motd := range []string{"two", "three", "four"} {
		r.repo.Put(map[string]string{"motd": motd}).Commit(motd)
		r.step()
	}
	if s := <-f.told; s.State != forge.Success {
		t.Errorf("told %+v", s)
	}
	cancel()
	for {
		select {
		case <-f.told:
		case <-done:
			return
		}
	}
}
