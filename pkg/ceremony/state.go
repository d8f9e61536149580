package ceremony

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/trust"
)

// A State is a root document as people look at it, and for a proposal what it changes and who has to sign it yet.
type State struct {
	Version int64    `json:"version"`
	Roles   []Role   `json:"roles"`
	Keys    []Key    `json:"keys"`
	Changes []string `json:"changes,omitempty"` // against the root before it
	Sides   []Side   `json:"sides,omitempty"`   // of a proposal: the root before it, and it
	Ready   bool     `json:"ready,omitempty"`   // a proposal that agents would follow
}

// A Role is what its keys may sign, and how many of them must.
type Role struct {
	Name      string   `json:"name"`
	Threshold int      `json:"threshold"`
	Keys      []string `json:"keys"` // IDs
}

// A Key is a public key with its window.
type Key struct {
	ID        string    `json:"id"`
	Short     string    `json:"short"`
	Roles     []string  `json:"roles"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	NotAfter  time.Time `json:"notAfter,omitzero"`
	PEM       string    `json:"pem,omitempty"`
	// Identity is who signs without a key, in place of PEM.
	Identity *trust.Identity `json:"identity,omitempty"`
}

// A Side is one of the two roots whose root keys have to sign a proposal.
type Side struct {
	Version int64    `json:"version"`
	Needs   int      `json:"needs"`
	Signed  []string `json:"signed"`  // IDs of its keys
	Open    []string `json:"open"`    // IDs of its keys that did not sign
	Missing int      `json:"missing"` // signatures
}

// StateOf describes a root document in force.
func StateOf(r trust.Root) State {
	s := State{Version: r.Version}
	roles := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(r.Roles)) {
		role := r.Roles[name]
		s.Roles = append(s.Roles, Role{name, role.Threshold, role.Keys})
		for _, id := range role.Keys {
			roles[id] = append(roles[id], name)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.Keys)) {
		k := r.Keys[id]
		one := Key{ID: id, Short: Short(id), Roles: roles[id], NotBefore: k.NotBefore, NotAfter: k.NotAfter, Identity: k.Identity}
		if k.Identity == nil {
			one.PEM = string(k.Public.PEM())
		}
		s.Keys = append(s.Keys, one)
	}
	return s
}

// State describes the proposal.
func (p *Proposal) State() (State, error) {
	s := StateOf(p.Next)
	s.Changes = Changes(p.Old, p.Next)
	s.Ready = true
	for _, root := range []trust.Root{p.Old, p.Next} {
		signed, err := root.RootSigners(p.Next, p.Signatures)
		if err != nil {
			return s, err
		}
		role := root.Roles[trust.RoleRoot]
		side := Side{Version: root.Version, Needs: role.Threshold, Signed: append([]string{}, signed...), Open: []string{}, Missing: max(0, role.Threshold-len(signed))}
		for _, id := range role.Keys {
			if !slices.Contains(signed, id) {
				side.Open = append(side.Open, id)
			}
		}
		s.Sides = append(s.Sides, side)
		s.Ready = s.Ready && side.Missing == 0
	}
	return s, nil
}

// Changes says in words what differs between two roots: what a signer agrees to.
func Changes(from, to trust.Root) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	names := slices.Sorted(maps.Keys(from.Roles))
	for name := range to.Roles {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		was, is := from.Roles[name], to.Roles[name]
		for _, id := range is.Keys {
			if !slices.Contains(was.Keys, id) {
				say("%s: %s is added", name, named(to.Keys[id]))
			}
		}
		for _, id := range was.Keys {
			if !slices.Contains(is.Keys, id) {
				say("%s: %s is removed", name, named(from.Keys[id]))
			}
		}
		switch {
		case len(is.Keys) == 0 && strings.HasPrefix(name, trust.RoleChannel("")) && name != trust.RoleAnyChannel:
			say("%s: the role is removed, %s signs in its place", name, trust.RoleAnyChannel)
		case len(is.Keys) == 0:
			say("%s: the role is removed", name)
		case len(was.Keys) == 0:
			say("%s: the role is new, it needs %d of %d keys", name, is.Threshold, len(is.Keys))
		case was.Threshold != is.Threshold:
			say("%s: it needs %d of %d keys, before %d of %d", name, is.Threshold, len(is.Keys), was.Threshold, len(was.Keys))
		}
	}
	if !bytes.Equal(from.TrustedRoot, to.TrustedRoot) {
		say("the Sigstore trusted root, which vouches for identities, is another")
	}
	for _, id := range slices.Sorted(maps.Keys(to.Keys)) {
		was, known := from.Keys[id]
		is := to.Keys[id]
		if known && (!was.NotBefore.Equal(is.NotBefore) || !was.NotAfter.Equal(is.NotAfter)) {
			say("key %s: it is good %s, before %s", Short(id), Window(is.NotBefore, is.NotAfter), Window(was.NotBefore, was.NotAfter))
		}
	}
	return all
}

// named names a key for people.
func named(k trust.Key) string {
	if k.Identity != nil {
		return "identity " + k.Identity.String()
	}
	return "key " + Short(k.ID())
}

// Window says when a key is good.
func Window(from, until time.Time) string {
	const day = time.RFC3339
	switch {
	case from.IsZero() && until.IsZero():
		return "always"
	case from.IsZero():
		return "until " + until.UTC().Format(day)
	case until.IsZero():
		return "from " + from.UTC().Format(day)
	}
	return "from " + from.UTC().Format(day) + " until " + until.UTC().Format(day)
}
