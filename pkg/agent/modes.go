package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/trust"
)

// standing is the order of modes that was accepted last, as far as it must not be forgotten.
type standing struct {
	trust.Order
	Payload string   `json:"payload"`
	Keys    []string `json:"signers"` // IDs
}

// ordered takes the order of modes that a pointer carries. One that does not count, or that is older than the one that stands,
// changes nothing: what a thief of the key of the channel leaves out or brings back is not obeyed.
func (a *Agent) ordered(p bundle.Pointer) error {
	doc := a.trustCopy()
	claims := trust.ClaimedOrder(p.Order)
	if len(p.Order) == 0 || claims.Payload == doc.Order.Payload && doc.Order.Payload != "" {
		return nil
	}
	const doing = "reading the order of modes"
	var o trust.Ordered
	err := a.verifying(func(v *trust.Verifier) (err error) {
		o, err = v.Ordered(a.Enrolment.Fleet, a.Enrolment.Channel, p.Order)
		return err
	})
	if err != nil {
		return a.refused(doing, err)
	}
	if last := (trust.Ordered{Order: doc.Order.Order, Payload: doc.Order.Payload}); !o.After(last) {
		return a.refused(doing, &trust.Refusal{Name: bundle.Rollback, Detail: fmt.Sprintf("a later one, of pointer %s, stands", last.From.Version()), What: "the order of modes of pointer " + o.From.Version()})
	}
	doc.Order = standing{o.Order, o.Payload, o.Keys}
	if err := a.saveTrust(doc); err != nil {
		return a.trouble(err)
	}
	a.Log.Warn("modes are ordered", "modes", o.Modes, "by", o.Keys, "note", o.Note)
	return nil
}

// modes are those that are set over what a policy says: the newest commit's where the trust root asks nobody, and what people
// have ordered, as long as the root in force trusts them. Those that the policy does not have are nothing to it. The caller
// holds the lock.
func (a *Agent) modes(declared map[string]bool) map[string]bool {
	set := map[string]bool{}
	take := func(over map[string]bool) {
		for name, on := range over {
			if _, known := declared[name]; known {
				set[name] = on
			}
		}
	}
	channel := a.Enrolment.Channel
	if !a.root.Gated(channel) && !a.root.OrdersModes(channel) {
		take(a.trust.Pointer.Modes)
	}
	if a.root.Enough(trust.RoleModes(channel), a.trust.Order.Keys) {
		take(a.trust.Order.Modes)
	}
	return set
}

// prepared is what a node has done for the modes that it is not in.
type prepared struct {
	modes   string            // those it was in
	lacks   error             // layers that could not be fetched; tried again
	unready map[string]string // modes that could not be flipped now, and why
}

// prepare fetches the layers that this node would need in other modes and makes the catalog of each, so that a flip needs
// nothing from anybody, and a mode that cannot be is known before it is needed. What does not succeed holds nothing up.
func (a *Agent) prepare(ctx context.Context, l *loaded, in catalog.Input, stage *ocistore.Stage) {
	declared := l.policy.Fleet.Modes
	now := fmt.Sprint(in.Modes)
	if len(declared) == 0 || l.prepared.lacks == nil && l.prepared.unready != nil && l.prepared.modes == now {
		return
	}
	l.prepared = prepared{modes: now, unready: map[string]string{}}
	flips := map[string]catalog.Input{}
	for name := range declared {
		flips[name] = flipped(declared, in, name)
	}
	missing := map[string][]string{} // modules, by mode
	var wanted []string
	for name, flip := range flips {
		modules, err := a.Language.Modules(l.policy, flip)
		if err != nil {
			l.prepared.unready[name] = err.Error()
			continue
		}
		missing[name] = slices.DeleteFunc(modules, func(m string) bool { return slices.Contains(l.modules, m) })
		wanted = append(wanted, missing[name]...)
	}
	wanted = append(wanted, a.takenTogether(l, in, slices.Sorted(maps.Keys(flips)), missing)...)
	slices.Sort(wanted)
	if wanted = slices.Compact(wanted); len(wanted) > 0 {
		had := len(l.modules)
		l.prepared.lacks = l.fetch(ctx, stage, wanted...)
		if len(l.modules) > had {
			if err := l.parse(); err != nil { // what was read before is kept
				l.prepared.lacks = err
			}
		}
	}
	for name, flip := range flips {
		if l.prepared.unready[name] != "" {
			continue
		}
		if slices.ContainsFunc(missing[name], func(m string) bool { return !slices.Contains(l.modules, m) }) {
			l.prepared.unready[name] = fmt.Sprint("what it takes cannot be fetched: ", l.prepared.lacks)
		} else if _, err := a.Language.Build(l.available(), l.content, flip); err != nil {
			l.prepared.unready[name] = err.Error()
		}
	}
	if len(l.prepared.unready) > 0 {
		a.Log.Warn("this node is not ready for modes", "modes", l.prepared.unready)
	}
}

// flipped is what a node would have with one mode the other way round.
func flipped(declared map[string]bool, in catalog.Input, name string) catalog.Input {
	on := declared[name]
	if set, ok := in.Modes[name]; ok {
		on = set
	}
	if in.Modes = maps.Clone(in.Modes); in.Modes == nil {
		in.Modes = map[string]bool{}
	}
	in.Modes[name] = !on
	return in
}

// modeDoc is what a node says of modes, in the trait that is about the agent.
type modeDoc struct {
	Modes   []string `json:"modes"`
	Unready []string `json:"unready"`
}

// inModes remembers, for the next check-in, in which modes the node has just run. A policy without modes has nothing to tell.
func (a *Agent) inModes(l *loaded, in catalog.Input) {
	doc := modeDoc{Modes: []string{}, Unready: []string{}}
	for name, on := range l.policy.Fleet.Modes {
		if set, ok := in.Modes[name]; ok {
			on = set
		}
		if on {
			doc.Modes = append(doc.Modes, name)
		}
	}
	for name := range l.prepared.unready {
		doc.Unready = append(doc.Unready, name)
	}
	slices.Sort(doc.Modes)
	slices.Sort(doc.Unready)
	var facet trait.Facet
	if len(l.policy.Fleet.Modes) > 0 {
		var err error
		if facet, err = trait.FacetOf(aboutAgent, doc); err != nil { // cannot be: all fields are plain
			return
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moded = facet
}
