package up

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// TestNotes says of every channel why the newest commit is not published, also when nothing ever was, and is never
// longer than the service takes.
func TestNotes(t *testing.T) {
	t.Parallel()
	if notes := Notes(controller.Status{}); len(notes) != 0 {
		t.Errorf("of nothing: %+v", notes)
	}
	s := controller.Status{Interval: time.Minute, Channels: []controller.Channel{{Name: "early", Epoch: 2, Seq: 7, Digest: "sha256:1", Commit: "abc"}, {Name: "stable"}}}
	notes := Notes(s)
	if len(notes) != 2 || notes[0].Pointer != "2.7" || notes[0].Interval != time.Minute || notes[0].Error != "" {
		t.Errorf("of two channels: %+v", notes)
	}
	s.Failure = &controller.Failure{Message: "many", Commit: "def"}
	for i := range 100 {
		s.Failure.Problems = append(s.Failure.Problems, fault.Problem{Pos: fault.Pos{File: "fleet.yaml", Line: i + 1, Col: 3}, Msg: "wrong"})
	}
	for _, n := range Notes(s) {
		if lines := strings.Split(n.Error, "\n"); len(lines) != maxMistakes+1 || !strings.Contains(lines[0], "fleet.yaml:1:3") || !strings.Contains(lines[maxMistakes], "80 more") || n.ErrorCommit != "def" {
			t.Errorf("of 100 mistakes: %q", n.Error)
		}
	}
	s = controller.Status{Failure: &controller.Failure{Message: strings.Repeat("ä", 20000)}}
	if notes := Notes(s); len(notes) != 1 || notes[0].Channel != "stable" || len(notes[0].Error) > maxMistakeText+10 {
		t.Errorf("of one long message: %d notes", len(notes))
	}
}

// A desk takes notes, or does not.
type desk struct {
	mu   sync.Mutex
	took []string
	away bool
}

func (d *desk) leave(away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = away
}

func (d *desk) PutGrants(context.Context, []report.Grants) error { return nil }

func (d *desk) PutAlertRules(context.Context, []report.AlertRule) error { return nil }

func (d *desk) PutChannels(_ context.Context, notes []report.ChannelNote) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away {
		return errors.New("nobody there")
	}
	d.took = append(d.took, notes[0].Pointer)
	return nil
}

// TestTeller tells what is new at once, the newest only after an absence, and the same again every minute.
func TestTeller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var seq atomic.Int64
		status := func() controller.Status {
			return controller.Status{Channels: []controller.Channel{{Name: "stable", Epoch: 1, Seq: seq.Load()}}}
		}
		d, teller := &desk{}, NewTeller()
		done := make(chan struct{})
		go func() { defer close(done); teller.Run(ctx, d, status, slog.New(slog.DiscardHandler)) }()
		say := func(n int64) {
			seq.Store(n)
			teller.Note(status())
			synctest.Wait()
		}
		want := func(what, want string) {
			t.Helper()
			d.mu.Lock()
			defer d.mu.Unlock()
			if got := fmt.Sprint(d.took); got != want {
				t.Errorf("%s: it was told %s, want %s", what, got, want)
			}
			d.took = nil
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		want("before the first change", "[]")
		say(1)
		want("at the first change", "[1.1]")
		time.Sleep(150 * time.Second)
		synctest.Wait()
		want("two minutes later", "[1.1 1.1]")
		d.leave(true)
		say(2)
		say(3) // nobody waits for a reader that is away
		time.Sleep(time.Minute)
		d.leave(false)
		time.Sleep(6 * time.Second)
		synctest.Wait()
		want("back after an absence", "[1.3]")
		cancel()
		<-done
	})
}
