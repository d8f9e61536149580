package ocistore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/bundle"
)

// Ordered asks several sources, the first that gives an answer wins: a site's hub before the central registry. Content
// is verified before it counts as an answer, so that a damaged mirror is passed over. When none answers, the errors of
// all are told; it is "not there" only if it is not there in any.
//
// A source that could not be reached rests: as long as another answers it is not waited for. When its rest is over it is
// tried beside the others, and asked in its place again once it has answered.
func Ordered(sources ...bundle.Source) bundle.Source {
	if len(sources) == 1 {
		return sources[0]
	}
	o := &ordered{members: make([]*member, len(sources))}
	for i, src := range sources {
		o.members[i] = &member{Source: src}
	}
	return o
}

type ordered struct {
	members []*member
	tag     atomic.Pointer[string] // that was asked for last: what a source is asked for that may be back
}

// partly says that what was asked for is not where somebody answered; others could not be asked. It is not "not there", and
// the network is not away either.
type partly struct{ error }

func (p *partly) Unwrap() error { return p.error }

// first returns what the first source that succeeds gives.
func first[T any](ctx context.Context, o *ordered, ask func(bundle.Source) (T, error)) (T, error) {
	now := time.Now()
	awake := o.wake(ctx, now)
	var failed, absent error
	for _, m := range o.members {
		if why := m.resting(); why != nil && awake > 0 {
			failed = errors.Join(failed, why)
			continue
		}
		got, err := ask(m.Source)
		if ctx.Err() == nil {
			m.answered(now, err)
		}
		switch {
		case err == nil:
			return got, nil
		case errors.Is(err, bundle.ErrNotFound):
			absent = err
		default:
			failed = errors.Join(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	var none T
	switch {
	case failed != nil && absent != nil:
		return none, &partly{failed}
	case failed != nil:
		return none, failed
	}
	if absent == nil {
		absent = fmt.Errorf("there is no source: %w", bundle.ErrNotFound)
	}
	return none, absent
}

// wake looks whether sources are back whose rest is over, also those that would not be asked now: what the first has may lack
// something that only they have. It returns how many sources do not rest.
func (o *ordered) wake(ctx context.Context, now time.Time) (awake int) {
	for _, m := range o.members {
		if m.resting() == nil {
			awake++
		} else if tag := o.tag.Load(); tag != nil {
			m.retry(ctx, now, *tag)
		}
	}
	return awake
}

// Resolve implements bundle.Source.
func (o *ordered) Resolve(ctx context.Context, tag string) (bundle.Descriptor, error) {
	o.tag.Store(&tag)
	return first(ctx, o, func(src bundle.Source) (bundle.Descriptor, error) { return src.Resolve(ctx, tag) })
}

// Open implements bundle.Source.
func (o *ordered) Open(ctx context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	data, err := first(ctx, o, func(src bundle.Source) ([]byte, error) { return bundle.Fetch(ctx, src, d, bundle.MaxLayer) })
	if err != nil {
		return nil, err
	}
	return noClose{bytes.NewReader(data)}, nil
}

// Referrers implements bundle.Source. A source that lists none is passed over: mirrors are known to copy a manifest
// without its signatures.
func (o *ordered) Referrers(ctx context.Context, d bundle.Descriptor, artifactType string) ([]bundle.Descriptor, error) {
	found, err := first(ctx, o, func(src bundle.Source) ([]bundle.Descriptor, error) {
		found, err := src.Referrers(ctx, d, artifactType)
		if err == nil && len(found) == 0 {
			err = fmt.Errorf("referrers of %s: %w", d.Digest, bundle.ErrNotFound)
		}
		return found, err
	})
	if errors.Is(err, bundle.ErrNotFound) {
		return nil, nil
	}
	return found, err
}
