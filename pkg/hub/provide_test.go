package hub_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/hub"
)

// hanging is an upstream that answers the question of a layer with nothing at all.
type hanging struct {
	bundle.Source
	digest string
	asked  chan struct{}
}

func (h hanging) Open(ctx context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	if d.Digest != h.digest {
		return h.Source.Open(ctx, d)
	}
	close(h.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

// A layer that is fetched goes on to be when who asked for it is gone, and no longer than the hub: what ended it has waited for
// it, so that nothing is written to a store that is closed.
func TestAHubThatStopsEndsWhatItFetches(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	db := s.layer(s.release(1, "one"), "db")
	s.must(s.scoped(nil, []string{"role=web"}).Sync(ctx))
	upstream := hanging{s.centre, db, make(chan struct{})}
	scope, err := hub.ParseScope(nil, []string{"role=web"}, roleLanguage())
	s.must(err)
	m, err := hub.NewMirror(hub.MirrorConfig{Upstream: upstream, Local: s.local, Fleet: "acme", Channels: []string{"stable"}, Root: s.root, Scope: scope,
		State: s.state, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return s.now }})
	s.must(err)

	impatient, leave := context.WithCancel(ctx)
	left := make(chan error, 1)
	go func() {
		_, err := m.Provide(impatient, db)
		left <- err
	}()
	<-upstream.asked
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Fatalf("who asked and left: %v", err)
	}
	stays := make(chan error, 1)
	go func() {
		_, err := m.Provide(ctx, db) // waits for the same errand: a second one would close the channel again
		stays <- err
	}()
	m.Close()
	var absent *hub.Absent
	if err := <-stays; !errors.As(err, &absent) || absent.Module != "db" {
		t.Errorf("who stayed: %v", err)
	}
	if _, err := m.Provide(ctx, db); !errors.As(err, &absent) {
		t.Errorf("after it was closed: %v", err)
	}
}
