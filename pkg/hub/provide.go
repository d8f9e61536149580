package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/bundle"
)

const (
	provideTime = 15 * time.Second // how long who asks for a layer waits for it; then it has to ask again
	provideMost = 4                // layers that are fetched on demand at once, each of which takes memory
)

// An Absent error says that a hub lacks a layer that a bundle it shows names, and why it could not be had.
type Absent struct {
	Module, Bundle string
	Why            error
}

// Error implements error.
func (a *Absent) Error() string {
	what := fmt.Sprintf("module %q", a.Module)
	if a.Module == "" {
		what = "the fleet layer"
	}
	return fmt.Sprintf("%s of bundle %.19s is not there and cannot be fetched now: %s", what, a.Bundle, a.Why)
}

// Unwrap returns why.
func (a *Absent) Unwrap() error { return a.Why }

var (
	errStillFetching = errors.New("it is being fetched and takes longer than one request may; ask again")
	errStops         = errors.New("the hub is being stopped; ask again")
)

// demand is the layers that are being fetched.
type demand struct {
	mu      sync.Mutex
	closed  bool
	pending map[string]*errand // by digest
	turns   chan struct{}
	all     sync.WaitGroup
}

// An errand is one layer that is being fetched for all who ask.
type errand struct {
	stop context.CancelFunc
	done chan struct{}
	err  error
}

// Provide makes sure that a layer which a mirrored bundle names is in the local store, and fetches it when it is not. It goes on
// to do so when ctx ends, until Close. Only an [*Absent] says that the layer is one of them and is not there.
func (m *Mirror) Provide(ctx context.Context, digest string) (fetched bool, err error) {
	p, known, err := m.shelf.find(ctx, digest)
	if err != nil || !known {
		return false, err
	}
	there, err := m.holds(ctx, p.Descriptor)
	if err != nil {
		return false, err
	}
	if err := m.shelf.wasAsked(p.module, m.Now(), !there); err != nil {
		m.Log.Warn("a module may not be mirrored ahead next time", "err", err)
	}
	if there {
		return false, nil
	}
	e, err := m.errand(ctx, p)
	if err != nil {
		return false, &Absent{p.module, p.bundle, err}
	}
	timer := time.NewTimer(provideTime)
	defer timer.Stop()
	select {
	case <-e.done:
		err = e.err
	case <-timer.C:
		err = errStillFetching
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return false, &Absent{p.module, p.bundle, err}
	}
	return true, nil
}

// holds says whether the local store has some content.
func (m *Mirror) holds(ctx context.Context, d bundle.Descriptor) (bool, error) {
	if store, ok := m.Local.(interface {
		Has(context.Context, bundle.Descriptor) (bool, error)
	}); ok {
		return store.Has(ctx, d)
	}
	rc, err := m.Local.Open(ctx, d)
	if errors.Is(err, bundle.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, rc.Close()
}

// errand returns the fetching of a layer, which it starts if nobody has.
func (m *Mirror) errand(ctx context.Context, p place) (*errand, error) {
	m.demand.mu.Lock()
	defer m.demand.mu.Unlock()
	if m.demand.closed {
		return nil, errStops
	}
	if e, pending := m.demand.pending[p.Digest]; pending {
		return e, nil
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), syncTime)
	e := &errand{stop: stop, done: make(chan struct{})}
	m.demand.pending[p.Digest] = e
	m.demand.all.Go(func() {
		defer stop()
		if e.err = m.fetchInTurn(ctx, p); e.err != nil {
			m.Log.Warn("fetching on demand", "module", p.module, "bundle", p.bundle, "err", e.err)
		}
		m.demand.mu.Lock()
		delete(m.demand.pending, p.Digest)
		m.demand.mu.Unlock()
		close(e.done)
	})
	return e, nil
}

// Close ends what is being fetched on demand and waits for it: nothing is written to the local store after that. Provide
// fetches nothing from then on.
func (m *Mirror) Close() {
	m.demand.mu.Lock()
	m.demand.closed = true
	for _, e := range m.demand.pending {
		e.stop()
	}
	m.demand.mu.Unlock()
	m.demand.all.Wait()
}

func (m *Mirror) fetchInTurn(ctx context.Context, p place) error {
	select {
	case m.demand.turns <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-m.demand.turns }()
	return m.fetch(ctx, p)
}

// fetch copies one layer from the first upstream that has it. Its digest is that of a manifest that was verified, and it is
// compared before anything is stored.
func (m *Mirror) fetch(ctx context.Context, p place) error {
	var failed error
	for _, upstream := range append([]bundle.Source{m.Upstream}, m.Others...) {
		if err := m.bring(ctx, upstream, p.Descriptor); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		m.Log.Info("fetched on demand", "module", p.module, "bundle", p.bundle, "bytes", p.Size)
		return nil
	}
	return failed
}

// bring copies content that the local store lacks.
func (m *Mirror) bring(ctx context.Context, upstream bundle.Source, d bundle.Descriptor) error {
	if there, err := m.holds(ctx, d); err != nil || there {
		return err
	}
	data, err := bundle.Fetch(ctx, upstream, d, bundle.MaxLayer)
	if err != nil {
		return err
	}
	return m.Local.Push(ctx, d, bytes.NewReader(data))
}

// providing serves the registry of the hub, and gets layers first that are not there.
func (h *Hub) providing(next http.Handler) http.Handler {
	const blobs = "/v2/" + Repository + "/blobs/"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		digest, isBlob := strings.CutPrefix(r.URL.Path, blobs)
		if _, err := bundle.ParseDigest(digest); !isBlob || err != nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		fetched, err := h.mirror.Provide(r.Context(), digest)
		if fetched {
			h.metrics.fetched.Inc()
		}
		if err == nil {
			next.ServeHTTP(w, r)
			return
		}
		h.metrics.notFetched.Inc()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", "10")
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": "UNAVAILABLE", "message": "hub " + h.Enrolment.Name + ": " + err.Error()}}}) // who asked is gone otherwise
	})
}
