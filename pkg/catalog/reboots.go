package catalog

import (
	"fmt"
	"slices"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/policy"
)

// RebootPool returns the pool of reboots that a node with all its labels is in, and the name of its group; nil: it asks nobody.
func (l Language) RebootPool(p *policy.Policy, node string, labels map[string]string) (*policy.RebootPool, string, error) {
	for i := range p.Fleet.Reboots {
		pool := &p.Fleet.Reboots[i]
		if pool.When.S != "" {
			cond, err := expr.CompileLabels(pool.When.S)
			if err != nil {
				return nil, "", fmt.Errorf("the condition of the pool of reboots %s: %w", pool.Name, err)
			}
			in, err := cond.OfLabels(node, labels)
			if err != nil {
				return nil, "", fmt.Errorf("the condition of the pool of reboots %s: %w", pool.Name, err)
			}
			if !in {
				continue
			}
		}
		return pool, lease.GroupName(pool.Name, pool.Per, labels), nil
	}
	return nil, "", nil
}

// reboots checks the pools against the labels there are.
func (k *check) reboots() {
	for _, pool := range k.policy.Fleet.Reboots {
		k.selector(pool.When, "the condition of the pool of reboots "+pool.Name)
		for _, name := range pool.Per {
			if !slices.Contains(k.policy.Fleet.Labels, name) {
				k.fail(pool.Pos, "missing-label", fault.DidYouMean(name, k.policy.Fleet.Labels), "the pool of reboots %s is divided by %q, which is no label", pool.Name, name)
			}
		}
	}
}
