package trust

import (
	"fmt"
	"time"

	"vigo.dev/pkg/bundle"
)

// Memory is what an agent must not forget of the pointers it accepted from one channel. The zero value has seen none.
// It is written to disk before anything is done because of it.
type Memory struct {
	Epoch   int64     `json:"epoch"`
	Seq     int64     `json:"seq"`
	Payload string    `json:"payload"` // digest of the signed statement
	Issued  time.Time `json:"issued,omitzero"`
}

// Accept decides on a verified pointer whose signed statement has digest payload, and returns what to remember. It
// refuses to go back, to take two contents under one number, and to take a pointer past its time. Hosts without a
// clock battery start in the past: the time is never taken to be before a pointer of the same epoch that was accepted. A
// new epoch, which takes a new root, begins anew: numbers and times that a stolen key has run up are left behind.
//
// The pointer that is in force already is accepted until it expires, and m is returned as it is.
func (m Memory) Accept(p bundle.Pointer, payload string, now time.Time) (Memory, error) {
	seen := bundle.Pointer{Epoch: m.Epoch, Seq: m.Seq}
	what := "pointer " + p.Version()
	if m.Seq > 0 {
		switch order := p.Compare(seen); {
		case order < 0:
			return m, &Refusal{Name: bundle.Rollback, Detail: "pointer " + seen.Version() + " was accepted before", What: what}
		case order == 0 && payload != m.Payload:
			return m, &Refusal{Name: bundle.Equivocation, Detail: fmt.Sprintf("two contents were signed under one number: %s was accepted, this is %s", m.Payload, payload), What: what}
		}
	}
	if p.Epoch <= m.Epoch && now.Before(m.Issued) {
		now = m.Issued
	}
	if now.After(p.Expires) {
		return m, &Refusal{Name: bundle.Expired, Detail: "it was good until " + p.Expires.UTC().Format(time.RFC3339), What: what}
	}
	if m.Seq > 0 && p.Compare(seen) == 0 {
		return m, nil
	}
	next := Memory{Epoch: p.Epoch, Seq: p.Seq, Payload: payload, Issued: p.Issued.UTC()}
	if p.Epoch <= m.Epoch && next.Issued.Before(m.Issued) {
		next.Issued = m.Issued
	}
	return next, nil
}
