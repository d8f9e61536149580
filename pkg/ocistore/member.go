package ocistore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"vigo.dev/pkg/bundle"
)

// How long a source rests that could not be reached: twice as long after each time, within these. tryTimeout bounds looking
// whether it is back, which nobody waits for.
const (
	shortestRest = 10 * time.Second
	longestRest  = 20 * time.Second
	tryTimeout   = 10 * time.Second
)

// A member is one of several sources, with what is remembered of its health.
type member struct {
	bundle.Source

	mu     sync.Mutex
	failed error // why it rests; nil: it does not
	rest   time.Duration
	until  time.Time
	trying bool
}

// resting returns why the source is not to be waited for; nil if it is.
func (m *member) resting() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.failed
}

// answered notes how the source did. "Not there", and content that is not what it should be, are answers of a registry that
// is there.
func (m *member) answered(now time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil || errors.Is(err, bundle.ErrNotFound) || errors.As(err, new(*bundle.Refusal)) {
		m.failed, m.rest = nil, 0
		return
	}
	m.rest = min(max(2*m.rest, shortestRest), longestRest)
	if m.failed == nil {
		m.failed = fmt.Errorf("passed over: %w", err)
	}
	m.until = now.Add(m.rest)
}

// retry looks in the background whether a source whose rest is over is back, by asking it for a tag.
func (m *member) retry(ctx context.Context, now time.Time, tag string) {
	m.mu.Lock()
	due := !m.trying && !now.Before(m.until)
	m.trying = m.trying || due
	m.mu.Unlock()
	if !due {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryTimeout)
	go func() {
		defer cancel()
		_, err := m.Resolve(ctx, tag)
		m.answered(time.Now(), err)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.trying = false
	}()
}
