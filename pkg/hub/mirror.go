// Package hub is the mirror of a fleet at a site: it copies from the centre what it has verified, serves it while the
// uplink is down, and never shows its site anything older than it showed before.
//
// It refuses to sign anything (it holds no key that agents trust), to publish what agents would refuse, and to be trusted:
// agents verify all of it again.
package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/prune"
	"vigo.dev/pkg/trust"
)

// MirrorConfig says what a mirror copies from where to where. All fields but Others and Scope are required. With a scope, Local
// must take manifests whose layers are not all there.
type MirrorConfig struct {
	Upstream bundle.Source
	Others   []bundle.Source // asked in order while what Upstream has cannot be mirrored
	Local    bundle.Store
	Fleet    string
	Channels []string   // the channels its site needs
	Scope    Scope      // the modules it needs beside those that were asked for; the zero value: all
	Root     trust.Root // as pinned when the hub was set up; newer ones are taken from upstream
	State    string     // folder of its memory; made when missing
	Log      *slog.Logger
	Now      func() time.Time
}

// A Mirror keeps the local store as the upstream is, as far as that can be verified.
type Mirror struct {
	MirrorConfig

	shelf   *shelf
	demand  demand
	syncing sync.Mutex // held by one Sync at a time

	mu      sync.Mutex
	memory  mirrorMemory
	current map[string]current // by channel
}

// current is a pointer that upstream and site both showed.
type current struct {
	digest  string // of its carrier
	expires time.Time
}

// mirrorMemory is what must not be forgotten: written before anything is published because of it.
type mirrorMemory struct {
	Root     trust.Root              `json:"root"`
	Channels map[string]trust.Memory `json:"channels"`
}

const memoryName = "mirror.json"

// NewMirror reads what was mirrored before. A memory that cannot be read is an error: without it an old pointer could be
// shown again.
func NewMirror(c MirrorConfig) (*Mirror, error) {
	if err := os.MkdirAll(c.State, 0o700); err != nil {
		return nil, fmt.Errorf("opening the mirror: %w", err)
	}
	if err := atomicfile.Sweep(c.State); err != nil {
		return nil, fmt.Errorf("opening the mirror: %w", err)
	}
	m := &Mirror{MirrorConfig: c, memory: mirrorMemory{Root: c.Root, Channels: map[string]trust.Memory{}}, current: map[string]current{},
		demand: demand{pending: map[string]*errand{}, turns: make(chan struct{}, provideMost)}}
	var err error
	if m.shelf, err = openShelf(c); err != nil {
		return nil, fmt.Errorf("opening the mirror: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(c.State, memoryName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return m, nil
	case err != nil:
		return nil, fmt.Errorf("opening the mirror: %w", err)
	}
	if err := json.Unmarshal(data, &m.memory); err != nil {
		return nil, fmt.Errorf("reading %s: %w", memoryName, err)
	}
	if m.memory.Root.Version < c.Root.Version {
		m.memory.Root = c.Root
	}
	if m.memory.Channels == nil {
		m.memory.Channels = map[string]trust.Memory{}
	}
	return m, nil
}

// Sync copies what is new, from the first upstream of which all can be mirrored. Root documents come first, then for each
// channel the bundles its pointer names, their signatures, and last the pointer. A channel that is refused or cannot be
// reached stays as it is and does not keep the others back.
func (m *Mirror) Sync(ctx context.Context) error {
	m.syncing.Lock()
	defer m.syncing.Unlock()
	var failed error
	for _, upstream := range append([]bundle.Source{m.Upstream}, m.Others...) {
		err := m.syncFrom(ctx, upstream)
		if err == nil || ctx.Err() != nil {
			return err
		}
		failed = errors.Join(failed, err)
	}
	return failed
}

func (m *Mirror) syncFrom(ctx context.Context, upstream bundle.Source) error {
	err := m.roots(ctx, upstream)
	for _, name := range m.Channels {
		if e := m.channel(ctx, upstream, name); e != nil {
			err = errors.Join(err, fmt.Errorf("channel %s: %w", name, e))
		}
	}
	return err
}

// Versions are the pointers its site is shown, by channel.
func (m *Mirror) Versions() map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]string, len(m.memory.Channels))
	for name, memory := range m.memory.Channels {
		all[name] = bundle.Pointer{Epoch: memory.Epoch, Seq: memory.Seq}.Version()
	}
	return all
}

// remembered is a copy of the memory: a Sync reads it, and it alone replaces it.
func (m *Mirror) remembered() mirrorMemory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.memory
}

// roots follows the root documents of upstream and copies each that is followed.
func (m *Mirror) roots(ctx context.Context, upstream bundle.Source) error {
	for {
		memory := m.remembered()
		next, err := memory.Root.Successor(ctx, upstream)
		if errors.Is(err, bundle.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("following the trust root: %w", err)
		}
		version := next.Root.Version
		if _, err := bundle.Copy(ctx, m.Local, upstream, next.Carrier); err != nil {
			return fmt.Errorf("copying root %d: %w", version, err)
		}
		if err := m.Local.Tag(ctx, next.Carrier, trust.RootTag(version)); err != nil {
			return fmt.Errorf("tagging root %d: %w", version, err)
		}
		memory.Root = next.Root
		if err := m.keep(memory); err != nil {
			return err
		}
		clear(m.current) // what keys of the old root have signed is looked at again
		m.Log.Info("a newer trust root is in force", "version", version)
	}
}

// channel brings one channel up to its newest pointer.
func (m *Mirror) channel(ctx context.Context, upstream bundle.Source, name string) error {
	if m.isCurrent(ctx, upstream, name) {
		return nil
	}
	memory := m.remembered()
	verifier := trust.NewVerifier(memory.Root, m.Now)
	shown, err := verifier.SignedPointer(ctx, upstream, m.Fleet, name)
	if err != nil {
		return err
	}
	p := shown.Pointer
	next, err := memory.Channels[name].Accept(p, shown.Payload, m.Now())
	if err != nil {
		return err
	}
	moving, fixed := p.Tags()
	targets := append([]bundle.Target{p.Stable}, p.Prefetch...)
	if p.Candidate != nil {
		targets = append(targets, *p.Candidate)
	}
	if there, err := m.Local.Resolve(ctx, moving); err == nil && there.Digest == shown.Carrier.Digest {
		for _, t := range targets { // more may be needed of them than when they came
			if _, err := m.copyNeeded(ctx, upstream, descriptor(t)); err != nil {
				return err
			}
		}
		m.current[name] = current{shown.Carrier.Digest, p.Expires}
		return nil
	}
	running, _, err := verifier.Pointer(ctx, m.Local, m.Fleet, name)
	if err != nil {
		running = bundle.Pointer{} // nothing that the site's agents take
	}
	for _, t := range targets {
		// What is fetched ahead may be approved later.
		news := t.Digest != running.Stable.Digest && !slices.Contains(p.Prefetch, t)
		if err := m.bundle(ctx, upstream, verifier, t, name, news); err != nil {
			return err
		}
	}
	if err := m.secrets(ctx, upstream, p); err != nil {
		return err
	}
	if _, err := bundle.Copy(ctx, m.Local, upstream, shown.Carrier); err != nil {
		return err
	}
	if err := m.keep(memory.with(name, next)); err != nil {
		return err
	}
	for _, tag := range []string{fixed, moving} {
		if err := m.Local.Tag(ctx, shown.Carrier, tag); err != nil {
			return fmt.Errorf("tagging %s: %w", tag, err)
		}
	}
	m.current[name] = current{shown.Carrier.Digest, p.Expires}
	m.Log.Info("mirrored", "channel", name, "pointer", p.Version(), "bundle", p.Stable.Digest)
	return nil
}

// isCurrent says whether upstream shows what the site is shown already, and it is not past its time: one request, most of
// the time. Whatever else is the case, it is found out by looking closer.
func (m *Mirror) isCurrent(ctx context.Context, upstream bundle.Source, name string) bool {
	known, ok := m.current[name]
	if !ok || m.Now().After(known.expires) {
		return false
	}
	moving, _ := bundle.Pointer{Channel: name}.Tags()
	there, err := upstream.Resolve(ctx, moving)
	return err == nil && there.Digest == known.digest
}

// bundle verifies a bundle, then copies it with what refers to it (signatures, provenance, approvals), and gives it a tag
// that keeps it from being collected. What is news to the site must have the approvals that agents ask for.
func (m *Mirror) bundle(ctx context.Context, upstream bundle.Source, verifier *trust.Verifier, t bundle.Target, channel string, news bool) error {
	d := descriptor(t)
	holds := func(src bundle.Source) error {
		if _, err := verifier.Bundle(ctx, src, d, m.Fleet, channel); err != nil || !news {
			return err
		}
		_, err := verifier.Approved(ctx, src, d, m.Fleet, channel)
		return err
	}
	if err := holds(upstream); err != nil {
		return err
	}
	taken, err := m.copyNeeded(ctx, upstream, d)
	if err != nil {
		return err
	}
	signatures, err := upstream.Referrers(ctx, d, bundle.SignatureMediaType)
	if err != nil {
		return fmt.Errorf("looking for what refers to %s: %w", d.Digest, err)
	}
	for _, s := range signatures {
		if _, err := bundle.Copy(ctx, m.Local, upstream, s); err != nil {
			m.Log.Warn("a referrer is not mirrored", "referrer", s.Digest, "err", err) // what counts is checked next
		}
	}
	// What agents of the site will find is what counts, not what was found upstream.
	if err := holds(m.Local); err != nil {
		return fmt.Errorf("the copy does not hold up: %w", err)
	}
	if err := m.Local.Tag(ctx, d, prune.MirrorTag(t.Digest)); err != nil {
		return err
	}
	m.shelf.add(taken)
	return nil
}

// with returns a copy in which one channel is another.
func (mm mirrorMemory) with(channel string, memory trust.Memory) mirrorMemory {
	all := map[string]trust.Memory{channel: memory}
	for name, other := range mm.Channels {
		if name != channel {
			all[name] = other
		}
	}
	mm.Channels = all
	return mm
}

func (m *Mirror) keep(memory mirrorMemory) error {
	data, err := json.Marshal(memory)
	if err == nil {
		err = atomicfile.Write(filepath.Join(m.State, memoryName), data, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keeping the memory of the mirror: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.memory = memory
	return nil
}
