package policy

import (
	"time"

	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/rollout"
)

// MaxPools is how many pools of reboots a fleet can have.
const MaxPools = 100

// A RebootPool is nodes that take turns to reboot: at most so many of them are down for it at once.
type RebootPool struct {
	Name   string        `json:"name"`
	When   Text          `json:"when,omitzero"` // condition over labels; empty: every node that is in no pool before it
	Per    []string      `json:"per,omitempty"` // labels whose values divide it into groups that do not wait for each other
	AtOnce rollout.Share `json:"at_once"`
	Lease  time.Duration `json:"lease"` // how long a reboot may take
	// Alone lets a node reboot when the service cannot be asked.
	Alone bool      `json:"alone,omitempty"`
	Pos   fault.Pos `json:"pos"`
}

func (r *reader) reboots(n *yaml.Node) []RebootPool {
	r.level(4) // an older agent would ask nobody
	if n.Kind != yaml.SequenceNode {
		r.fail(n, "wrong-type", "- {name: all, at_once: 5%}", "reboots must be a list, not %s", describe(n))
		return nil
	}
	if len(n.Content) > MaxPools {
		r.fail(n, "too-many", "", "there are more than %d pools of reboots", MaxPools)
		return nil
	}
	var pools []RebootPool
	seen, last := map[string]bool{}, ""
	for _, item := range n.Content {
		p, ok := r.rebootPool(item)
		switch {
		case !ok:
			continue
		case last != "":
			r.fail(item, "never-reached", "put it before that one", "no node comes to pool %q: %q before it has no condition and takes them all", p.Name, last)
		case seen[p.Name]:
			r.fail(item, "duplicate-key", "", "there are two pools %q", p.Name)
		}
		if seen[p.Name] = true; p.When.S == "" && last == "" {
			last = p.Name
		}
		pools = append(pools, p)
	}
	return pools
}

func (r *reader) rebootPool(n *yaml.Node) (RebootPool, bool) {
	p := RebootPool{Lease: lease.DefaultTerm, Pos: r.pos(n)}
	entries, ok := r.mapping(n, "a pool of reboots")
	if !ok {
		return p, false
	}
	r.only(entries, "name", "about", "when", "per", "at_once", "lease", "unreachable")
	given := false
	for _, e := range entries {
		switch e.key {
		case "name":
			if p.Name = r.str(e.value, "the name"); p.Name != "" && !nameRule.MatchString(p.Name) {
				r.fail(e.value, "bad-name", "lower-case letters, digits, - and _", "%q is not a name for a pool", p.Name)
			}
		case "about":
			r.str(e.value, e.key)
		case "when":
			p.When = r.text(e.value, e.key)
		case "per":
			p.Per = r.strs(e.value, e.key)
		case "at_once":
			given = true
			if p.AtOnce = r.share(e.value, e.key); p.AtOnce.IsZero() {
				r.fail(e.value, "out-of-range", "1, or a percentage such as 5%", "at_once must be above 0, or nobody ever reboots")
			}
		case "lease":
			if p.Lease = r.upTo(e.value, e.key, lease.MaxTerm); p.Lease < time.Minute {
				r.fail(e.value, "out-of-range", "", "a lease must be at least 1m: nothing reboots faster")
			}
		case "unreachable":
			p.Alone = r.oneOf(e.value, e.key, "wait", "reboot") == "reboot"
		}
	}
	if p.Name == "" || !given {
		r.fail(n, "missing-key", "- {name: all, at_once: 5%}", `a pool of reboots needs the keys "name" and "at_once"`)
	}
	return p, true
}
