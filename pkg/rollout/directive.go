package rollout

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// A Directive is the part of a channel pointer that says who may take its candidate. It is the same for every node, so that
// any mirror can carry it, and yet admits exactly as many as were meant: the threshold of a stage is the bucket of the last
// node that was drawn.
type Directive struct {
	ID   string `json:"id"`
	Salt string `json:"salt"`
	// Paused lets nobody in; who has the candidate keeps it.
	Paused bool `json:"paused,omitempty"`
	// Closed lets nobody in as long as the window of the rollout is closed: a node that was off when its turn came, and is back
	// outside of the window, waits for the next one. It is said by whoever signs, so that no clock of a node decides.
	Closed bool    `json:"closed,omitempty"`
	Admit  []Admit `json:"admit,omitempty"`
	// Keep are bundles of earlier rollouts that nodes may stay with until they are admitted or this one is over.
	Keep []string `json:"keep,omitempty"`
	// Revert are bundles that nodes must leave for the stable one. Nothing else takes a node back.
	Revert []string `json:"revert,omitempty"`
}

// An Admit lets the nodes in that meet a condition and whose bucket is not above Max.
type Admit struct {
	Stage string `json:"stage"`
	When  string `json:"when,omitempty"`
	Max   Bucket `json:"max"`
}

// A Bucket is the place of a node in the order in which a rollout reaches it.
type Bucket uint64

// Everyone is the threshold that lets every node in.
const Everyone Bucket = 1<<64 - 1

// BucketOf returns the place of a node. Whoever chooses the salt cannot choose the places: it is the digest of the bundle, or
// the name of the channel.
func BucketOf(salt, node string) Bucket {
	sum := sha256.Sum256([]byte(salt + "\x00" + node))
	return Bucket(binary.BigEndian.Uint64(sum[:8]))
}

// MarshalText renders 16 hexadecimal digits: numbers of JSON do not hold 64 bits everywhere.
func (b Bucket) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(b)), nil }

// UnmarshalText reads what MarshalText writes.
func (b *Bucket) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil || len(text) != 16 {
		return fmt.Errorf("reading a bucket: %q is not 16 hexadecimal digits", text)
	}
	*b = Bucket(v)
	return nil
}

// A Signed is what one pointer says of bundles, as far as rollouts go.
type Signed struct {
	Stable, Candidate string // digests; no candidate: empty
	Directive         *Directive
}

// Lawful says whether next may follow prev on a channel whose newest commit gave the bundle newest. It is what the controller
// checks of a verdict before it signs: a report service that was taken over can slow a rollout down, and can let nodes have
// what was signed for the channel, but not reach back.
func Lawful(prev, next Signed, newest string) error {
	const doing = "checking a verdict"
	var faults []error
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Errorf(doing+": "+format, args...)) }
	if next.Stable != prev.Stable && next.Stable != prev.Candidate {
		wrong("stable goes to %s, which was no candidate", next.Stable)
	}
	if next.Candidate != "" && next.Candidate != prev.Candidate && next.Candidate != newest {
		wrong("the candidate %s is neither the one before nor that of the newest commit", next.Candidate)
	}
	if (next.Candidate == "") != (next.Directive == nil) {
		wrong("a candidate and a directive come together")
	}
	if next.Directive == nil {
		return errors.Join(faults...)
	}
	if next.Stable == prev.Stable && prev.Directive != nil {
		for _, had := range append(slices.Clone(prev.Directive.Keep), prev.Candidate) {
			if had != next.Candidate && had != next.Stable && !slices.Contains(next.Directive.Keep, had) && !slices.Contains(next.Directive.Revert, had) {
				wrong("nodes that have %s would go back", had)
			}
		}
	}
	if slices.Contains(next.Directive.Revert, next.Stable) {
		wrong("stable %s is to be left for itself", next.Stable)
	}
	if prev.Directive != nil && prev.Directive.ID == next.Directive.ID {
		faults = append(faults, sameRollout(prev, next)...)
	}
	return errors.Join(faults...)
}

// sameRollout checks what may not change during a rollout: whom it draws, and that who was admitted stays so, unless all go
// back.
func sameRollout(prev, next Signed) (faults []error) {
	wrong := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("checking a verdict: rollout %s: "+format, append([]any{next.Directive.ID}, args...)...))
	}
	if next.Candidate != prev.Candidate || next.Directive.Salt != prev.Directive.Salt {
		wrong("its candidate or its salt changes")
	}
	if slices.ContainsFunc(prev.Directive.Revert, func(d string) bool { return !slices.Contains(next.Directive.Revert, d) }) {
		wrong("what was taken back comes again")
	}
	if len(next.Directive.Admit) == 0 {
		return faults // aborted, or taken back: nobody is let in any more, and who has it keeps it
	}
	for _, was := range prev.Directive.Admit {
		i := slices.IndexFunc(next.Directive.Admit, func(a Admit) bool { return a.Stage == was.Stage })
		if i < 0 || next.Directive.Admit[i].When != was.When || next.Directive.Admit[i].Max < was.Max {
			wrong("stage %s lets fewer in than it did", was.Stage)
		}
	}
	return faults
}
