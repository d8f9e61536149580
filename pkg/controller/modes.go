package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// Orders are what people set the modes of channels to, over what policy says.
type Orders interface {
	// Takes says whether people may order modes of a channel.
	Takes(channel string) bool
	// Order returns the newest order in the registry that enough people have signed. It fails with bundle.ErrNotFound when
	// there is none, and with a refusal when too few have signed it.
	Order(ctx context.Context, src bundle.Source, fleet, channel string) (trust.Ordered, error)
	// Stands returns the order that enough people have signed under the root in force.
	Stands(fleet, channel string, signatures [][]byte) (trust.Ordered, error)
}

// Takes implements [Orders]: the root document says where.
func (k *Keyring) Takes(channel string) bool { return k.root.OrdersModes(channel) }

// Order implements [Orders].
func (k *Keyring) Order(ctx context.Context, src bundle.Source, fleet, channel string) (trust.Ordered, error) {
	_, signatures, err := trust.OpenOrder(ctx, src, channel)
	if err != nil {
		return trust.Ordered{}, err
	}
	return k.Stands(fleet, channel, signatures)
}

// Stands implements [Orders].
func (k *Keyring) Stands(fleet, channel string, signatures [][]byte) (trust.Ordered, error) {
	return trust.NewVerifier(k.root, k.now).Ordered(fleet, channel, signatures)
}

// A Mode is a switch of a channel, as it stands.
type Mode struct {
	Name string `json:"name"`
	On   bool   `json:"on"`
	// Policy is what the policy says. Ordered, Note and Keys are of the order that says otherwise; zero: there is none.
	Policy  bool      `json:"policy"`
	Ordered time.Time `json:"ordered,omitzero"`
	Note    string    `json:"note,omitempty"`
	Keys    []string  `json:"keys,omitempty"` // IDs of those who signed it
}

// withModes says which modes the next pointer of a channel carries. Modes are not given in stages: those of the newest commit
// reach every node with the pointer, also nodes whose turn to have its bundle has yet to come. Where the root has people agree
// to bundles, or order modes, the key of the channel alone flips none: there they come with the bundle, or by an order.
func (c *Controller) withModes(ctx context.Context, name string, prev bundle.Pointer, wanted bundle.Target, fresh bool, i *intent) error {
	delete(c.orders, name)
	c.declared[name] = c.state.Modes
	takes := c.cfg.Orders != nil && c.cfg.Orders.Takes(name)
	held := c.cfg.Gates != nil && c.cfg.Gates.Gated(name)
	if held && i.stable.Digest != c.state.Bundle.Digest {
		if p, _, err := c.policyOf(ctx, i.stable); err == nil {
			c.declared[name] = p.Fleet.Modes
		} else { // they are for people to see
			c.cfg.Log.Warn("reading which modes a channel has", "channel", name, "err", err)
		}
	}
	if !takes {
		if !held && i.stable.Digest != wanted.Digest {
			i.modes = maps.Clone(c.state.Modes)
		}
		return nil
	}
	stands, err := c.cfg.Orders.Stands(c.state.Fleet, name, prev.Order)
	switch {
	case err == nil:
		i.order = prev.Order
	case !fresh: // a key that has run out since takes nothing back
		i.order, stands = prev.Order, trust.ClaimedOrder(prev.Order)
	case len(prev.Order) > 0:
		c.cfg.Log.Warn("the order of modes is dropped: the new root does not stand for it", "channel", name, "err", err)
	}
	c.orders[name] = stands
	asked, err := c.cfg.Orders.Order(ctx, c.cfg.Store, c.state.Fleet, name)
	switch {
	case errors.Is(err, bundle.ErrNotFound):
		return nil
	case errors.As(err, new(*trust.Refusal)):
		c.cfg.Log.Debug("an order of modes does not count", "channel", name, "err", err)
		return nil
	case err != nil:
		return failed(FailedRegistry, fmt.Errorf("looking for an order of modes: %w", err))
	}
	// What people have moved on from does not come back, and under a new root only what was ordered under it comes.
	if !asked.After(stands) || stands.Payload == "" && asked.From.Epoch < c.cfg.Keys.Epoch() {
		return nil
	}
	i.order, c.orders[name] = asked.Signatures, asked
	c.cfg.Log.Warn("modes are ordered", "channel", name, "modes", asked.Modes, "by", asked.Keys, "note", asked.Note)
	return nil
}

// sameModes says whether a pointer carries the same modes and the same order.
func (i intent) sameModes(p bundle.Pointer) bool {
	return maps.Equal(p.Modes, i.modes) && slices.EqualFunc(p.Order, i.order, bytes.Equal)
}

// modesOf lists the modes of a channel as they stand. An order of a mode that the policy does not have is listed, too.
func (c *Controller) modesOf(name string) []Mode {
	order := c.orders[name]
	var list []Mode
	for mode, on := range c.declared[name] {
		list = append(list, Mode{Name: mode, On: on, Policy: on})
	}
	for mode, on := range order.Modes {
		at := slices.IndexFunc(list, func(m Mode) bool { return m.Name == mode })
		if at < 0 {
			at, list = len(list), append(list, Mode{Name: mode})
		}
		list[at].On, list[at].Ordered, list[at].Note, list[at].Keys = on, order.Given, order.Note, order.Keys
	}
	slices.SortFunc(list, func(a, b Mode) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return list
}

func sameModes(a, b []Mode) bool { return slices.EqualFunc(a, b, Mode.same) }

func (m Mode) same(o Mode) bool {
	return m.Name == o.Name && m.On == o.On && m.Policy == o.Policy && m.Ordered.Equal(o.Ordered) && slices.Equal(m.Keys, o.Keys)
}
