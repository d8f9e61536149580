// Package guard keeps on disk what guarded resources change, from before they change it until a check-in proves that the
// service still reaches this host, and puts it back if none does in time.
//
// What is kept is what was there before: files with mode and owner, links, absence, the state of services, parameters of
// the kernel, tables of the firewall; and what made the change effective, such as the restart of a service, which is done
// again after the files are put back. It is durable before the change is made, so a kill or a power cut at any moment leaves
// either nothing changed or all that is needed to go back.
//
// It refuses to decide whether the host can be reached, to read the clock on the wall and to know any resource type.
package guard

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/resource"
)

var _ converge.Guard = (*Keeper)(nil)

// A Keeper is the guard of one host. It is safe for concurrent use: check-ins confirm while a run changes things.
type Keeper struct {
	path  string
	clock Clock

	mu      sync.Mutex
	doc     document
	bundle  string
	settled int           // changes up to this number have taken effect
	unsaved error         // why something is in memory alone
	changed chan struct{} // something was kept, confirmed or put back
}

// Bundle says which bundle is enforced from now on. What was put back under another one may be tried again.
func (k *Keeper) Bundle(digest string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.bundle = digest
	next := k.doc.clone()
	for name, r := range next.Reverted {
		if r.Bundle != digest {
			delete(next.Reverted, name)
		}
	}
	if len(next.Reverted) == len(k.doc.Reverted) {
		return nil
	}
	return k.save(next)
}

// Retry forgets what was put back, so that it is tried again.
func (k *Keeper) Retry() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.doc.Reverted) == 0 {
		return nil
	}
	next := k.doc.clone()
	next.Reverted = nil
	return k.save(next)
}

// Refused says why a guarded declaration must not be applied now, or "".
func (k *Keeper) Refused(it resource.Item) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.doc.Reverting != "" {
		return k.doc.Reverting + "; some of it could not be put back yet"
	}
	if r, ok := k.doc.Reverted[it.Name()]; ok && r.Digest == it.Digest && r.Bundle == k.bundle {
		return r.Reason
	}
	if _, _, err := k.clock(); err != nil {
		return fmt.Sprintf("it is guarded, and the time since the boot cannot be told: %v", err)
	}
	return ""
}

// Waiting reports whether a change of the resource has not been confirmed.
func (k *Keeper) Waiting(name string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.doc.Held, func(h *held) bool { return h.Resource == name })
}

// Settle says that all that was changed has taken effect: a check-in that begins from now on confirms it.
func (k *Keeper) Settle() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if before := k.settled; k.doc.Next > before {
		k.settled = k.doc.Next
		k.tell()
	}
}

// Mark names what a check-in that begins now can confirm; 0: nothing waits for one.
func (k *Keeper) Mark() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.doc.Held) == 0 || k.doc.Reverting != "" {
		return 0
	}
	return k.settled
}

// Confirm forgets how to put back what was marked. If that cannot be made durable it is not confirmed.
func (k *Keeper) Confirm(mark int) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if mark == 0 || k.doc.Reverting != "" {
		return nil
	}
	next := k.doc.clone()
	next.Held = slices.DeleteFunc(next.Held, func(h *held) bool { return h.Number <= mark })
	if len(next.Held) == len(k.doc.Held) {
		return nil
	}
	defer k.tell()
	if err := k.save(next); err != nil {
		return fmt.Errorf("confirming guarded changes: %w", err)
	}
	return nil
}

// Stuck reports whether what is to be put back could not be put back yet: other work goes on meanwhile.
func (k *Keeper) Stuck() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.doc.Reverting != ""
}

// Left returns how long a check-in may still take, and false when nothing waits for one. What is to be put back and could
// not be yet is due.
func (k *Keeper) Left() (time.Duration, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	left, _, waiting := k.left()
	return left, waiting
}

// left returns what is left of the shortest wait, and its timeout.
func (k *Keeper) left() (left, timeout time.Duration, waiting bool) {
	if len(k.doc.Held) == 0 || k.doc.Reverting != "" {
		return 0, 0, len(k.doc.Held) > 0
	}
	boot, up, err := k.clock()
	if err != nil { // it could be told when the change was made
		return 0, k.doc.Held[0].Timeout, true
	}
	begun := false
	for i, h := range k.doc.Held {
		rest, kept := h.at(boot, up)
		begun = begun || kept != h.wait
		h.wait = kept
		if i == 0 || rest < left {
			left, timeout = rest, h.Timeout
		}
	}
	if begun {
		// If this fails the wait is counted in memory, and written with the next change or by the next process.
		k.unsaved = k.save(k.doc)
	}
	return left, timeout, true
}

// Trouble returns, once, why the guard could not keep its own state.
func (k *Keeper) Trouble() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.unsaved
	k.unsaved = nil
	return err
}

// Changed is sent to when something was kept, has taken effect, was confirmed or put back.
func (k *Keeper) Changed() <-chan struct{} { return k.changed }

func (k *Keeper) tell() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}
