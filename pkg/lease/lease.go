// Package lease is the turns that nodes take to reboot: how many of a group may be down for it at once, who is, and when a
// place is free again.
//
// It refuses to look at a clock, to keep anything and to know how a node is: all of that is given.
package lease

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/rollout"
)

// The limits of what a node may ask for, and what holds where the policy is silent.
const (
	DefaultTerm = 30 * time.Minute // of a lease
	MaxTerm     = 24 * time.Hour
	MaxDelay    = 24 * time.Hour // between the answer and the reboot
	MaxText     = 300            // bytes of a name, a group or a reason
)

// An Ask is what a node wants: to be booted again, or to give back the place that it was given for that.
type Ask struct {
	Node  string `json:"node"`
	Boot  string `json:"boot"`  // what tells this boot of the node from others
	Group string `json:"group"` // whose places it wants one of; by the policy that the node has verified
	// AtOnce is how many of the group may have a place, by the same policy.
	AtOnce rollout.Share `json:"atOnce"`
	Term   time.Duration `json:"term"`  // how long a reboot may take
	Delay  time.Duration `json:"delay"` // between the answer and the reboot
	Why    string        `json:"why"`
	Nonce  string        `json:"nonce"` // comes back in the answer, so that no other is taken for it
	// Back says that the node will not reboot after all.
	Back bool `json:"back,omitempty"`
}

// Check returns what is wrong with an ask.
func (a Ask) Check() error {
	for what, text := range map[string]string{"boot": a.Boot, "group": a.Group, "nonce": a.Nonce} {
		if text == "" || len(text) > MaxText {
			return fmt.Errorf("%s must have from 1 to %d bytes, not %d", what, MaxText, len(text))
		}
	}
	switch {
	case len(a.Why) > MaxText:
		return fmt.Errorf("the reason must have at most %d bytes, not %d", MaxText, len(a.Why))
	case a.Term <= 0 || a.Term > MaxTerm:
		return fmt.Errorf("the term must be at most %s, not %s", MaxTerm, a.Term)
	case a.Delay < 0 || a.Delay > MaxDelay:
		return fmt.Errorf("the delay must be at most %s, not %s", MaxDelay, a.Delay)
	case a.AtOnce.Nodes < 0 || !(a.AtOnce.Percent >= 0 && a.AtOnce.Percent <= 100) || a.AtOnce.IsZero():
		return fmt.Errorf("at once must be a number of nodes or a percentage above 0, not %s", a.AtOnce)
	}
	return nil
}

// An Answer is what the service says to an ask.
type Answer struct {
	Node  string `json:"node"`
	Nonce string `json:"nonce"` // of the ask
	// Granted says that the node has a place, and may reboot.
	Granted bool      `json:"granted"`
	Until   time.Time `json:"until,omitzero"` // when it should be back, by the clock of the service
	Why     string    `json:"why,omitempty"`  // it was not granted
	// Seal is the signature of the fleet's authority over the first three: a hub between cannot make one up.
	Seal []byte `json:"seal"`
}

// A Lease is the place of a node in its group, or that it waits for one.
type Lease struct {
	Node  string    `json:"node"`
	Group string    `json:"group"`
	Boot  string    `json:"boot"` // before the reboot
	Why   string    `json:"why,omitempty"`
	Asked time.Time `json:"asked"` // for the first time
	Heard time.Time `json:"heard"` // the last time it asked, as far as that is kept
	// Since is when it was granted; zero: it waits.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // when the node should be back
	// Failing says that the node was not as declared before the reboot either.
	Failing bool `json:"failing,omitempty"`
	// Overdue is when it was found that the node is not back in time; the place stays taken.
	Overdue time.Time `json:"overdue,omitzero"`
	Reason  string    `json:"reason,omitempty"` // why it is overdue
}

// Held reports whether it takes a place.
func (l Lease) Held() bool { return !l.Since.IsZero() }

// Slots is how many of a group of so many nodes may have a place at once: a percentage is rounded down, and is one at least.
func Slots(s rollout.Share, members int) int {
	if s.Percent == 0 {
		return max(1, s.Nodes)
	}
	return max(1, int(s.Percent*float64(members)/100+1e-9))
}

// GroupName is how the group of a node is called: that of its pool, and the values of the labels that divide it.
func GroupName(pool string, per []string, labels map[string]string) string {
	parts := []string{pool}
	for _, name := range per {
		parts = append(parts, name+"="+labels[name])
	}
	return strings.Join(parts, " ")
}

// Take decides about an ask. Own is what is known of the node, nil if nothing is; held are the leases of its group that take a
// place, its own may be among them. It returns what is to be kept of the node, and why it must wait, or "".
func Take(a Ask, own *Lease, held []Lease, slots int, failing bool, now time.Time) (Lease, string) {
	next := Lease{Node: a.Node, Group: a.Group, Boot: a.Boot, Why: a.Why, Asked: now, Heard: now, Failing: failing}
	if own != nil && own.Group == a.Group {
		next.Asked = own.Asked
		if own.Held() {
			next.Since, next.Failing = own.Since, own.Failing
			next.Until = now.Add(a.Delay + a.Term)
			return next, ""
		}
	}
	others := slices.DeleteFunc(slices.Clone(held), func(l Lease) bool { return l.Node == a.Node })
	if len(others) >= slots {
		return next, taken(a.Group, others, slots)
	}
	next.Since, next.Until = now, now.Add(a.Delay+a.Term)
	return next, ""
}

// shown is how many of those who have a place are named.
const shown = 3

// taken says in the same words as long as the same nodes have the places: the report of who waits changes only then.
func taken(group string, others []Lease, slots int) string {
	slices.SortFunc(others, func(a, b Lease) int { return strings.Compare(a.Node, b.Node) })
	var names []string
	for _, l := range others[:min(len(others), shown)] {
		name := l.Node
		if !l.Overdue.IsZero() {
			name += " (overdue)"
		}
		names = append(names, name)
	}
	if more := len(others) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	places := "places"
	if slots == 1 {
		places = "place"
	}
	return fmt.Sprintf("%d of %d %s of %s taken by %s", len(others), slots, places, group, strings.Join(names, ", "))
}
