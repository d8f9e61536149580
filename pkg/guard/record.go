package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Watch returns a host through which a guarded resource is changed, or what it notifies refreshed: what that changes is kept
// first.
func (k *Keeper) Watch(it resource.Item, h *host.Host) *host.Host {
	r := &recorder{k: k, it: it, h: h}
	watched := *h
	watched.FS = &files{h.FS, r}
	watched.Services = &services{h.Services, r}
	watched.Units = &units{h.Units, r}
	watched.Kernel = &kernel{h.Kernel, r}
	watched.Firewall = &firewall{h.Firewall, r}
	watched.Run = &runner{h.Run, r}
	watched.Extended = &extended{h.Extended}
	watched.Below = refusing{}
	return &watched
}

// recorder keeps what one resource changes in one run.
type recorder struct {
	k      *Keeper
	it     resource.Item
	h      *host.Host
	begun  bool
	unkept error // what could not be kept when nobody could be told
}

// keep makes durable what is needed to take the next change back.
func (r *recorder) keep(undos []undo, redos ...action) error {
	if r.unkept != nil {
		return r.unkept
	}
	k := r.k
	k.mu.Lock()
	defer k.mu.Unlock()
	next := k.doc.clone()
	at := slices.IndexFunc(next.Held, func(h *held) bool { return h.Resource == r.it.Name() })
	if at < 0 {
		boot, up, err := k.clock()
		if err != nil {
			return fmt.Errorf("keeping what is there before a guarded change: telling the time since the boot: %w", err)
		}
		at = len(next.Held)
		next.Held = append(next.Held, &held{Resource: r.it.Name(), wait: wait{Boot: boot, Since: up, Timeout: r.it.Meta.Guard}})
	}
	entry := *next.Held[at]
	next.Held[at] = &entry
	if !r.begun { // a check-in that is under way confirms what was before
		next.Next++
		entry.Number, entry.Digest, entry.Bundle = next.Next, r.it.Digest, k.bundle
	}
	entry.Undo, entry.Redo = slices.Clone(entry.Undo), slices.Clone(entry.Redo)
	added := !r.begun
	for _, u := range undos {
		if !slices.ContainsFunc(entry.Undo, func(have undo) bool { return have.covers(u) }) {
			entry.Undo = append(entry.Undo, u)
			added = true
		}
	}
	for _, a := range redos {
		if !slices.ContainsFunc(entry.Redo, a.equal) {
			entry.Redo = append(entry.Redo, a)
			added = true
		}
	}
	if !added {
		return nil
	}
	if next.size() > maxKept {
		return fmt.Errorf("keeping what is there before a guarded change: it is more than the %d MiB that are kept", maxKept>>20)
	}
	if err := k.save(next); err != nil {
		return fmt.Errorf("keeping what is there before a guarded change: %w", err)
	}
	r.begun = true
	k.tell()
	return nil
}

// service keeps how a service is.
func (r *recorder) service(ctx context.Context, name string, of func(host.Service) undo) error {
	is, err := r.h.Services.Service(ctx, name)
	if errors.Is(err, host.ErrNotFound) { // its unit is about to be known
		is, err = host.Service{Boot: host.Disabled}, nil
	}
	if err != nil {
		return fmt.Errorf("keeping the state of service %s: %w", name, err)
	}
	return r.keep([]undo{of(is)})
}
