package trust

import (
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
)

// A Check is one thing that was looked at on the way to trusting something.
type Check struct {
	Name    string `json:"check"`             // what for, such as "threshold"; one of the Check constants
	State   State  `json:"state"`             // how it came out
	What    string `json:"what,omitempty"`    // the digest or tag it is about
	Detail  string `json:"detail"`            // for a person
	Refusal string `json:"refusal,omitempty"` // its name, when it was refused
	Key     string `json:"key,omitempty"`     // ID of the key it is about
	Hint    string `json:"hint,omitempty"`

	err error // why it is neither OK nor absent
}

// State is how a check came out.
type State string

// The states of a check.
const (
	StateOK      State = "ok"
	StateFailed  State = "failed"  // refused
	StateIgnored State = "ignored" // it does not count; what does may be enough without it
	StateUnknown State = "unknown" // it could not be looked at
	StateAbsent  State = "absent"  // it is not there, and need not be
)

// What is checked. The names do not change.
const (
	CheckManifest   = "manifest"   // the reference leads to a manifest
	CheckDigest     = "digest"     // whose bytes have the digest
	CheckType       = "type"       // and which is of a type that is understood here
	CheckSignature  = "signature"  // a signature that was found verifies
	CheckKey        = "key"        // with a key that is trusted for this
	CheckWindow     = "window"     // in the time in which it is
	CheckPredicate  = "predicate"  // and was made for this purpose
	CheckSubject    = "subject"    // about these bytes
	CheckThreshold  = "threshold"  // enough distinct keys signed
	CheckFleet      = "fleet"      // it is meant for this fleet
	CheckChannel    = "channel"    // and for this channel
	CheckEpoch      = "epoch"      // a pointer is of an epoch that the trusted root knows
	CheckSequence   = "sequence"   // which number it has
	CheckExpiry     = "expiry"     // it is not past its time
	CheckConfig     = "config"     // the config and the layers are of one bundle
	CheckContent    = "content"    // every blob has its digest
	CheckApproval   = "approval"   // somebody approves of it for a channel
	CheckApprovals  = "approvals"  // enough people do
	CheckOrder      = "order"      // of modes, which a pointer carries: enough of those who may have signed it
	CheckProvenance = "provenance" // the builder says what it was built from
)

// see tells whoever watches that something is in order.
func (v *Verifier) see(name, what, detail string) {
	if v.seen != nil {
		v.seen(Check{Name: name, State: StateOK, What: what, Detail: detail})
	}
}

// refuse tells whoever watches that something is not, and returns err.
func (v *Verifier) refuse(name, what string, err error) error {
	if v.seen != nil && err != nil {
		v.seen(checkOf(name, what, err))
	}
	return err
}

// seeKey tells whoever watches that a signature counts.
func (v *Verifier) seeKey(what, subject string, s signed) {
	if v.seen == nil {
		return
	}
	k := s.Key
	kind := "public key " + k.ID()
	if k.Identity != nil {
		kind = "identity " + k.Identity.String()
	}
	for _, c := range []Check{
		{Name: CheckSignature, Detail: "a DSSE envelope that verifies, offline"},
		{Name: CheckKey, Detail: "by " + kind + ", " + v.name},
		{Name: CheckWindow, Detail: "which is good " + goodWhen(k.NotBefore, k.NotAfter)},
		{Name: CheckPredicate, Detail: "signed as " + s.PredicateType},
		{Name: CheckSubject, Detail: "about " + subject},
	} {
		c.State, c.What, c.Key = StateOK, what, k.ID()
		v.seen(c)
	}
}

// ignore tells whoever watches that something does not count.
func (v *Verifier) ignore(name, what string, err error) {
	if v.seen == nil {
		return
	}
	c := checkOf(name, what, err)
	if c.State == StateFailed {
		c.State = StateIgnored
	}
	v.seen(c)
}

// aspect is the check that a signature was refused by.
func aspect(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		switch r.Name {
		case bundle.WrongKey:
			return CheckKey
		case bundle.KeyExpired:
			return CheckWindow
		case bundle.Predicate:
			return CheckPredicate
		case bundle.Threshold:
			return CheckThreshold
		}
	}
	return CheckSignature
}

// checkOf renders an error. A refusal has failed; anything else could not be looked at.
func checkOf(name, what string, err error) Check {
	c := Check{Name: name, State: StateUnknown, What: what, Detail: err.Error(), err: err}
	if hints := fault.Hints(err); len(hints) > 0 {
		c.Hint = hints[0]
	}
	var r *Refusal
	if errors.As(err, &r) {
		c.State, c.Refusal, c.Detail = StateFailed, r.Name, r.Detail
	}
	return c
}

// goodWhen says when a key is good.
func goodWhen(from, until time.Time) string {
	day := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case from.IsZero() && until.IsZero():
		return "always"
	case from.IsZero():
		return "until " + day(until)
	case until.IsZero():
		return "from " + day(from) + " on"
	}
	return "from " + day(from) + " until " + day(until)
}

// shortly renders how many of something there are.
func shortly(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// firstError returns why not all is in order: the first refusal, or else the first thing that could not be looked at.
func firstError(checks []Check) error {
	for _, state := range []State{StateFailed, StateUnknown} {
		for _, c := range checks {
			if c.State == state && c.err != nil {
				return c.err
			}
		}
	}
	return nil
}
