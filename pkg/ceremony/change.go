package ceremony

import (
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
)

// A Change is what is to be different in a role of the proposed root.
type Change struct {
	Role string
	Add  []trust.PublicKey
	// Identity is added too, if not nil: who may sign without a key. TrustedRoot, if not empty, is the trusted_root.json of
	// the Sigstore instance that vouches for identities from now on.
	Identity    *trust.Identity
	TrustedRoot []byte
	Remove      []string // IDs
	// Instead says that all keys of the role but those in Add are removed.
	Instead bool
	// Threshold is how many keys must sign; 0: as many as before, and one for a new role.
	Threshold           int
	NotBefore, NotAfter time.Time // of the keys in Add; zero: open
}

// Apply changes the proposal in memory. It refuses what leaves a role that nobody could sign for.
func (p *Proposal) Apply(c Change) error {
	role := p.Next.Roles[c.Role]
	added := map[string]bool{}
	threshold := role.Threshold
	if c.Threshold != 0 || threshold == 0 {
		threshold = max(c.Threshold, 1)
	}
	var fresh []trust.Key
	for _, public := range c.Add {
		fresh = append(fresh, trust.Key{Public: public})
	}
	if c.Identity != nil {
		fresh = append(fresh, trust.Key{Identity: c.Identity})
	}
	for _, k := range fresh {
		added[k.ID()] = true
		k.NotBefore, k.NotAfter = c.NotBefore, c.NotAfter
		p.Next.Grant(c.Role, threshold, k)
	}
	if len(c.TrustedRoot) > 0 {
		if err := p.Next.PinSigstore(c.TrustedRoot); err != nil {
			return err
		}
	}
	remove := c.Remove
	if c.Instead {
		for _, id := range role.Keys {
			if !added[id] {
				remove = append(remove, id)
			}
		}
	}
	for _, id := range remove {
		if !p.Next.Withdraw(c.Role, id) {
			return fmt.Errorf("role %s does not list key %s", c.Role, Short(id))
		}
	}
	if now, ok := p.Next.Roles[c.Role]; ok {
		now.Threshold = threshold
		p.Next.Roles[c.Role] = now
		if len(now.Keys) == 0 && c.Role != trust.RoleRoot && c.Role != trust.RoleBundle {
			delete(p.Next.Roles, c.Role) // it falls to channel/*, or to nobody
		}
	}
	if err := p.Next.Validate(); err != nil {
		return fault.WithHint(fmt.Errorf("changing role %s: %w", c.Role, err), "--threshold N says how many of its keys must sign")
	}
	if len(Changes(p.Old, p.Next)) == 0 {
		return errors.New("that changes nothing")
	}
	return nil
}
