package converge_test

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// conf is a file that a program reads when it is told to.
type conf struct {
	w     *world
	want  string
	tells func() error // what happens instead of telling; nil: it goes well
	more  string       // another value it sees to, which no program reads
}

func (c *conf) Plan(context.Context, *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if have := c.w.values["conf"]; have != c.want {
		p.Do(func(context.Context) error {
			c.w.values["conf"] = c.want
			return nil
		}, change.Of("content", have, c.want))
	}
	p = p.Tell(func(context.Context) error {
		if c.tells != nil {
			return c.tells()
		}
		c.w.events = append(c.w.events, "told "+c.w.values["conf"])
		return nil
	})
	if have := c.w.values["more"]; have != c.more {
		p.Do(func(context.Context) error {
			c.w.values["more"] = c.more
			return nil
		}, change.Of("more", have, c.more))
	}
	return p, nil
}

func (c *conf) item() resource.Item {
	return resource.Item{ID: resource.ID{Type: "conf", Name: "c"}, Module: "m", Resource: c, Digest: c.want}
}

func told(t *testing.T, w *world, want ...string) {
	t.Helper()
	var got []string
	for _, e := range w.events {
		if len(e) > 5 && e[:5] == "told " {
			got = append(got, e)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the program was told (-want +got):\n%s", diff)
	}
}

// killed runs as run does, and ends in the middle as a program does that is killed: nothing that follows is done.
func killed(t *testing.T, j converge.Journal, c *conf) {
	t.Helper()
	c.tells = func() error { runtime.Goexit(); return nil }
	ended := make(chan bool)
	go func() {
		defer close(ended)
		converge.Run(context.Background(), &resource.Catalog{Items: []resource.Item{c.item()}}, &host.Host{},
			converge.Options{Journal: j, Log: slog.New(slog.DiscardHandler), Now: time.Now})
		t.Error("the run came to its end")
	}()
	<-ended
	c.tells = nil
}

func TestKilledBetweenAChangeAndItsTelling(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j, c := newMemory(w), &conf{w: w, want: "1"}
	killed(t, j, c)
	if w.values["conf"] != "1" {
		t.Fatal("it was killed before the change")
	}
	told(t, w)
	want(t, outcomes(run(t, j, true, c.item())), "m/conf:c drift refresh=pending")
	want(t, outcomes(run(t, j, false, c.item())), "m/conf:c ok refresh=done")
	told(t, w, "told 1")
	want(t, outcomes(run(t, j, false, c.item())))
	told(t, w, "told 1")
}

// What the next run has to change besides does not make it forget.
func TestKilledBeforeATellingAndSomethingElseToDo(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j, c := newMemory(w), &conf{w: w, want: "1"}
	killed(t, j, c)
	c.more = "x"
	want(t, outcomes(run(t, j, false, c.item())), "m/conf:c changed refresh=done")
	told(t, w, "told 1")
}

// A change that is told of at once is told of once, and owes nothing.
func TestTellingIsOwedOnlyUntilItIsDone(t *testing.T) {
	t.Parallel()
	w := newWorld()
	j, c := newMemory(w), &conf{w: w, want: "1"}
	want(t, outcomes(run(t, j, false, c.item())), "m/conf:c changed")
	c.more = "x" // nobody is told of that
	want(t, outcomes(run(t, j, false, c.item())), "m/conf:c corrected")
	told(t, w, "told 1")
	if len(j.pending) > 0 {
		t.Errorf("pending: %v", j.pending)
	}
}

// A program that would not hear is told by the next run, or by the next attempt.
func TestTellingThatFails(t *testing.T) {
	t.Parallel()
	for name, retries := range map[string]int{"next run": 0, "next attempt": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			j, c, failed := newMemory(w), &conf{w: w, want: "1"}, false
			c.tells = func() error {
				if !failed {
					failed = true
					return errors.New("it does not answer")
				}
				w.events = append(w.events, "told 1")
				return nil
			}
			it := c.item()
			it.Meta.Retries = retries
			first := outcomes(run(t, j, false, it))
			if retries == 0 {
				want(t, first, "m/conf:c failed refresh=pending: it does not answer")
				want(t, outcomes(run(t, j, false, it)), "m/conf:c ok refresh=done")
			} else {
				want(t, first, "m/conf:c changed refresh=done")
			}
			told(t, w, "told 1")
			want(t, outcomes(run(t, j, false, it)))
		})
	}
}

// Another resource that notifies it has the program told, too.
func TestNotifiedResourceTells(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.values["conf"] = "1"
	c := (&conf{w: w, want: "1"}).item()
	c.Requires = []int{0}
	j := newMemory(w)
	by := item(&thing{w: w, name: "key", want: "x"}, nil, []int{1})
	want(t, outcomes(run(t, j, false, by, c)), "m/thing:key changed", "m/conf:c ok refresh=done")
	told(t, w, "told 1")
}
