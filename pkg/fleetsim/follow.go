package fleetsim

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trust"
)

// lookEvery is how often a pointer is looked at. Every agent looks once in an interval, at a moment of its own; here one look is
// for all nodes of the channel, so that they see what is new as soon as agents do, or a second later.
const lookEvery = time.Second

// followed is the pointer of a channel, read from the registry of the fleet and verified as agents do it.
type followed struct {
	channel, fleet string
	src            bundle.Source
	root           trust.Root
	now            func() time.Time
	say            func(format string, args ...any)

	pointer atomic.Pointer[bundle.Pointer] // nil: none was read
	reads   atomic.Int64                   // pointers that were read and verified
	unread  atomic.Int64                   // looks at the registry without an answer, or with one that does not verify
	memory  trust.Memory
	tag     string // digest it led to last
}

// follow opens the registry of the fleet as a hub does, and looks at the pointer of a channel once.
func (s *Sim) follow(ctx context.Context, channel string) (*followed, error) {
	if f, ok := s.followed[channel]; ok {
		return f, nil
	}
	kept := s.state.hubs[s.hubs[0].name]
	f := &followed{channel: channel, fleet: kept.Fleet, now: s.Now, say: s.say}
	var err error
	if f.root, err = trust.ParseRoot(kept.Root); err != nil {
		return nil, fmt.Errorf("reading the trust root of the fleet: %w", err)
	}
	key, err := identity.ParseNodeKey([]byte(kept.Key))
	if err != nil {
		return nil, fmt.Errorf("reading the key of %s: %w", kept.Name, err)
	}
	cert, err := kept.certificate(key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(kept.Authority))
	sources, err := ocistore.OpenFleet(ctx, kept.Registry, identity.HeldCredentials(key, cert, roots, s.Now), ocistore.Access{}, s.Now)
	if err != nil {
		return nil, err
	}
	f.src = ocistore.Ordered(sources...)
	f.look(ctx)
	s.followed[channel] = f
	return f, nil
}

// keep looks at the pointer until ctx ends.
func (f *followed) keep(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f.look(ctx)
		}
	}
}

// look takes a pointer that is newer. What cannot be read, or does not verify, changes nothing for nodes.
func (f *followed) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	err := f.read(ctx)
	if err == nil || errors.Is(err, bundle.ErrNotFound) || errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if f.unread.Add(1) == 1 {
		f.say("the pointer of %s cannot be read, nodes stay as they are: %s", f.channel, err)
	}
}

func (f *followed) read(ctx context.Context) error {
	tag, _ := bundle.Pointer{Channel: f.channel}.Tags()
	d, err := f.src.Resolve(ctx, tag)
	if err != nil || d.Digest == f.tag {
		return err
	}
	if f.root, err = f.root.Newest(ctx, f.src); err != nil {
		return fmt.Errorf("following the trust root: %w", err)
	}
	p, payload, err := trust.NewVerifier(f.root, f.now).Pointer(ctx, f.src, f.fleet, f.channel)
	if err != nil {
		return err
	}
	memory, err := f.memory.Accept(p, payload, f.now())
	if err != nil {
		return err
	}
	f.memory, f.tag = memory, d.Digest
	f.pointer.Store(&p)
	f.reads.Add(1)
	return nil
}
