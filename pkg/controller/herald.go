package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/forge"
)

// A herald tells the forge what became of commits, beside the controller, which never waits for it. What is newer is told
// instead of what could not be told yet.
type herald struct {
	forge  Forge
	branch string
	log    *slog.Logger
	news   chan told // holds the newest
}

// told is what is to be told of a commit.
type told struct {
	commit string
	state  forge.State
}

// How often it is tried to tell the forge the same.
const (
	tellTries   = 8
	tellFirst   = 5 * time.Second // pause after the first failure; it doubles
	tellLongest = 5 * time.Minute
	tellTimeout = 30 * time.Second
)

func newHerald(f Forge, branch string, log *slog.Logger) *herald {
	return &herald{forge: f, branch: branch, log: log, news: make(chan told, 1)}
}

// note takes the status up; only the controller calls it.
func (h *herald) note(s Status) {
	if h == nil {
		return
	}
	t, ok := h.say(s)
	if !ok {
		return
	}
	select {
	case <-h.news:
	default:
	}
	h.news <- t
}

// say is what is to be told about the commit that the status is about.
func (h *herald) say(s Status) (told, bool) {
	state := forge.State{Context: "vigo/" + h.branch}
	f := s.Failure
	switch {
	case f == nil && s.Seen.Commit != "" && s.Seen.Commit == s.Built.Commit:
		names := make([]string, len(s.Channels))
		for i, c := range s.Channels {
			names[i] = c.Name
		}
		state.State, state.Text = forge.Success, "published on "+strings.Join(names, ", ")
		return told{s.Seen.Commit, state}, true
	case f == nil || f.Commit == "":
		return told{}, false
	case len(f.Problems) > 0:
		p := f.Problems[0]
		state.State, state.Text = forge.Failure, p.Error()
		if more := len(f.Problems) - 1; more > 0 {
			state.Text = fmt.Sprintf("%s (and %d more)", state.Text, more)
		}
		if p.Pos.File != "" {
			state.Link = h.forge.Link(f.Commit, p.Pos.File, p.Pos.Line)
		}
	case f.Kind == FailedPolicy || f.Kind == FailedTrust:
		state.State, state.Text = forge.Failure, f.Message
	default: // it may still come
		state.State, state.Text = forge.Pending, f.Message
	}
	return told{f.Commit, state}, true
}

// run tells until ctx ends.
func (h *herald) run(ctx context.Context) {
	var last told
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-h.news:
			for t != last {
				if newer, ok := h.tell(ctx, t); ok {
					t = newer
					continue
				}
				last = t // or given up
			}
		}
	}
}

// tell tries until it worked, there is something newer, or it was tried often enough.
func (h *herald) tell(ctx context.Context, t told) (newer told, ok bool) {
	pause := tellFirst
	for try := 1; ; try++ {
		limited, cancel := context.WithTimeout(ctx, tellTimeout)
		err := h.forge.Tell(limited, t.commit, t.state)
		cancel()
		switch {
		case err == nil || ctx.Err() != nil:
			return told{}, false
		case try == tellTries:
			h.log.Error("the state of a commit was not told", "commit", t.commit, "state", t.state.State, "err", err, "tries", try)
			return told{}, false
		case try == 1:
			h.log.Warn("telling the forge the state of a commit; it is tried again", "commit", t.commit, "err", err, "hint", strings.Join(fault.Hints(err), "; "))
		}
		if errors.Is(err, forge.ErrLimited) {
			pause = tellLongest
		}
		select {
		case <-ctx.Done():
			return told{}, false
		case newer = <-h.news:
			return newer, true
		case <-time.After(pause):
			pause = min(2*pause, tellLongest)
		}
	}
}
