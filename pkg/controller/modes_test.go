package controller

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/trust"
)

// crisis is a controller on whose channel production ada and ben order modes.
type crisis struct {
	*owned
	ada, ben *trust.Signer
}

func newCrisis(t *testing.T) *crisis {
	t.Helper()
	c := &crisis{newOwned(t), aKey(t), aKey(t)}
	c.owned.start()
	c.amend(func(next *trust.Root) {
		next.Grant(trust.RoleModes("production"), 2, trust.Key{Public: c.ada.Public()}, trust.Key{Public: c.ben.Public()})
	})
	c.start()
	return c
}

// start makes a controller that takes orders, as after a restart.
func (c *crisis) start() {
	c.t.Helper()
	c.c.cfg.Orders = nil
	ring := c.owned.start()
	c.c.cfg.Orders = ring
}

func (c *crisis) shown() bundle.Pointer {
	c.t.Helper()
	p, _, _, err := c.c.cfg.Keys.Current(c.t.Context(), c.store, "acme", "production")
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

// order gives an order over the pointer that is shown.
func (c *crisis) order(modes map[string]bool, by ...*trust.Signer) trust.Order {
	c.t.Helper()
	p := c.shown()
	o := trust.Order{Fleet: "acme", Channel: "production", Modes: modes, Given: c.now, Note: "drill", From: trust.Base{Epoch: p.Epoch, Seq: p.Seq, Digest: p.Stable.Digest}}
	c.put(o, by...)
	return o
}

func (c *crisis) put(o trust.Order, by ...*trust.Signer) {
	c.t.Helper()
	var signatures [][]byte
	for _, key := range by {
		raw, err := key.Order(c.t.Context(), o)
		if err != nil {
			c.t.Fatal(err)
		}
		signatures = append(signatures, raw)
	}
	if err := trust.PublishOrder(c.t.Context(), c.store, o, signatures); err != nil {
		c.t.Fatal(err)
	}
}

var dr = map[string]bool{"dr": true}

func TestAnOrderReachesThePointer(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	c.step()
	c.order(dr, c.ada)
	c.step()
	if p := c.shown(); len(p.Order) > 0 || p.Seq != 1 {
		t.Fatalf("one of two is enough: %+v", p)
	}
	first := c.order(dr, c.ada, c.ben)
	c.step()
	p := c.shown()
	if len(p.Order) != 2 || p.Seq != 2 {
		t.Fatalf("pointer %s carries %d signatures", p.Version(), len(p.Order))
	}
	modes := c.c.Status().Modes["production"]
	if len(modes) != 1 || !modes[0].On || modes[0].Name != "dr" || modes[0].Note != "drill" || len(modes[0].Keys) != 2 {
		t.Errorf("the status says %+v", modes)
	}
	if len(c.c.Status().Modes["staging"]) != 0 {
		t.Errorf("staging has %+v", c.c.Status().Modes["staging"])
	}

	// It stays: through commits, restarts and lost state.
	c.repo.Put(map[string]string{"motd": "two"}).Commit("second")
	c.start()
	c.step()
	if again := c.shown(); again.Seq != 3 || !slices.EqualFunc(again.Order, p.Order, bytes.Equal) {
		t.Errorf("after a commit and a restart pointer %s carries %d signatures", again.Version(), len(again.Order))
	}
	c.data = t.TempDir()
	c.start()
	c.step()
	if again := c.shown(); !slices.EqualFunc(again.Order, p.Order, bytes.Equal) {
		t.Errorf("without its state it has dropped the order: %+v", again)
	}

	// The next one takes its place, and the one before does not come back.
	c.now = c.now.Add(time.Minute)
	c.order(nil, c.ben, c.ada)
	c.step()
	cleared := c.shown()
	if len(cleared.Order) != 2 || bytes.Equal(cleared.Order[0], p.Order[0]) || len(c.c.Status().Modes["production"]) != 0 {
		t.Errorf("cleared: %+v", c.c.Status().Modes)
	}
	c.put(first, c.ada, c.ben)
	c.step()
	if again := c.shown(); again.Seq != cleared.Seq {
		t.Errorf("an earlier order comes back: %+v", again)
	}
}

// TestANewRootDropsOrdersThatItDoesNotStandFor, and does not take up one that was given under the root before.
func TestANewRootDropsOrdersThatItDoesNotStandFor(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	c.step()
	old := c.order(dr, c.ada, c.ben)
	c.step()
	c.amend(func(next *trust.Root) {}) // it trusts the same people: the order stands
	c.start()
	c.step()
	if p := c.shown(); len(p.Order) != 2 || p.Epoch != 3 {
		t.Errorf("pointer %s carries %d signatures", p.Version(), len(p.Order))
	}
	cleo := aKey(t)
	c.amend(func(next *trust.Root) {
		next.Withdraw(trust.RoleModes("production"), c.ada.Public().ID())
		next.Grant(trust.RoleModes("production"), 2, trust.Key{Public: cleo.Public()})
	})
	c.start()
	c.step()
	if p := c.shown(); len(p.Order) != 0 || p.Epoch != 4 {
		t.Errorf("pointer %s carries %d signatures", p.Version(), len(p.Order))
	}
	c.put(old, cleo, c.ben)
	c.step()
	if p := c.shown(); len(p.Order) != 0 {
		t.Errorf("an order of the epoch before is taken up: %s", p.Version())
	}
	c.order(dr, cleo, c.ben)
	c.step()
	if p := c.shown(); len(p.Order) != 2 {
		t.Errorf("a new one is not taken up")
	}
}

// TestModesOfACommitAreNotGivenInStages: the pointer has them while the bundle of the commit is rolled out, also when that is
// aborted, and not where people must agree.
func TestModesOfACommitAreNotGivenInStages(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	c.step()
	stable := c.shown().Stable
	wanted := bundle.Target{Digest: bundle.DigestOf([]byte("next")), Size: 1}
	c.c.state.Modes = dr
	for name, want := range map[string]map[string]bool{"staging": dr, "production": nil} {
		i := intent{stable: stable, candidate: &wanted, directive: &rollout.Directive{}}
		if err := c.c.withModes(t.Context(), name, bundle.Pointer{}, wanted, false, &i); err != nil || !maps.Equal(i.modes, want) {
			t.Errorf("%s: %v, %v", name, i.modes, err)
		}
		i = intent{stable: wanted}
		if err := c.c.withModes(t.Context(), name, bundle.Pointer{}, wanted, false, &i); err != nil || i.modes != nil {
			t.Errorf("%s, when all have it: %v, %v", name, i.modes, err)
		}
	}
}
