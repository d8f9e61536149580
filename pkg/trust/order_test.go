package trust_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// crisis is a fleet whose modes on channel main two of three people order.
type crisis struct{ *panel }

func newCrisis(t *testing.T) *crisis {
	t.Helper()
	c := &crisis{newPanel(t)}
	for _, key := range []*trust.Signer{c.ada, c.ben, c.cleo} {
		c.root.Grant(trust.RoleModes("main"), 2, trust.Key{Public: key.Public()})
	}
	if err := c.root.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *crisis) order(seq int64, modes map[string]bool) trust.Order {
	return trust.Order{Fleet: "lab", Channel: "main", Modes: modes, From: trust.Base{Epoch: 3, Seq: seq, Digest: c.built.Descriptor.Digest}, Given: noon, Note: "the <site> burns"}
}

func (c *crisis) signed(o trust.Order, by ...*trust.Signer) (all [][]byte) {
	c.t.Helper()
	for _, key := range by {
		raw, err := key.Order(c.t.Context(), o)
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, raw)
	}
	return all
}

func (c *crisis) ordered(signatures [][]byte) (trust.Ordered, error) {
	return trust.NewVerifier(c.root, clock).Ordered("lab", "main", signatures)
}

func TestTwoPeopleOrderAMode(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	want := c.order(4, map[string]bool{"failover": true, "normal": false})
	if err := trust.PublishOrder(t.Context(), c.store, want, c.signed(want, c.ada)); err != nil {
		t.Fatal(err)
	}
	_, signatures, err := trust.OpenOrder(t.Context(), c.store, "main")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.ordered(signatures)
	wantRefusal(t, err, bundle.Threshold)
	if err := trust.PublishOrder(t.Context(), c.store, want, append(signatures, c.signed(want, c.cleo)...)); err != nil {
		t.Fatal(err)
	}
	open, signatures, err := trust.OpenOrder(t.Context(), c.store, "main")
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.ordered(signatures)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Order) + cmp.Diff(want, open); diff != "" || len(got.Signatures) != 2 {
		t.Error(diff, len(got.Signatures))
	}
	if _, _, err := trust.OpenOrder(t.Context(), c.store, "edge"); !errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("of a channel without one: %v", err)
	}
}

// TestWhatIsNoOrder: each lacks what makes two people of one.
func TestWhatIsNoOrder(t *testing.T) {
	t.Parallel()
	on := map[string]bool{"failover": true}
	for name, tt := range map[string]struct {
		second func(c *crisis) [][]byte
		says   string
	}{
		"the same person twice":  {func(c *crisis) [][]byte { return c.signed(c.order(4, on), c.ada) }, "1 of at least 2"},
		"a stranger":             {func(c *crisis) [][]byte { return c.signed(c.order(4, on), newKey(c.t)) }, "not trusted"},
		"the key of the channel": {func(c *crisis) [][]byte { return c.signed(c.order(4, on), c.channelKey) }, "not trusted"},
		"of other modes":         {func(c *crisis) [][]byte { return c.signed(c.order(4, nil), c.ben) }, "1 of at least 2"},
		"of another pointer":     {func(c *crisis) [][]byte { return c.signed(c.order(5, on), c.ben) }, "1 of at least 2"},
		"for another channel": {func(c *crisis) [][]byte {
			o := c.order(4, on)
			o.Channel = "edge"
			return c.signed(o, c.ben)
		}, `for channel "edge"`},
		"for another fleet": {func(c *crisis) [][]byte {
			o := c.order(4, on)
			o.Fleet = "other"
			return c.signed(o, c.ben)
		}, `for fleet "other"`},
		"an approval": {func(c *crisis) [][]byte {
			raw, err := c.ben.Approve(c.t.Context(), c.request())
			if err != nil {
				c.t.Fatal(err)
			}
			return [][]byte{raw}
		}, "not as an order of modes"},
		"a key that was retired": {func(c *crisis) [][]byte {
			c.root.Grant(trust.RoleModes("main"), 2, trust.Key{Public: c.ben.Public(), NotAfter: noon.Add(-time.Hour)})
			return c.signed(c.order(4, on), c.ben)
		}, "was retired"},
		"no signature": {func(*crisis) [][]byte { return [][]byte{[]byte("{}")} }, "not a Sigstore bundle"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCrisis(t)
			second := tt.second(c)
			_, err := c.ordered(append(c.signed(c.order(4, on), c.ada), second...))
			if !errors.As(err, new(*trust.Refusal)) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want a refusal that says %q", err, tt.says)
			}
		})
	}
}

func TestWhereNobodyMayOrderNothingCounts(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	delete(c.root.Roles, trust.RoleModes("main"))
	_, err := c.ordered(c.signed(c.order(4, nil), c.ada, c.ben))
	wantRefusal(t, err, bundle.WrongKey)
}

// TestLaterOrders: what was given over a later pointer is later, whatever clocks say; over the same, what clocks say.
func TestLaterOrders(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	of := func(seq int64, given time.Duration) trust.Ordered {
		o := c.order(seq, nil)
		o.Given = noon.Add(given)
		got, err := c.ordered(c.signed(o, c.ada, c.ben))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	rising := []trust.Ordered{{}, of(4, 0), of(4, time.Minute), of(5, -24*time.Hour), of(6, 0)}
	for i, a := range rising {
		for j, b := range rising {
			if a.After(b) != (i > j) {
				t.Errorf("%d after %d: %t", i, j, a.After(b))
			}
		}
	}
	newest, err := c.ordered(append(c.signed(c.order(4, nil), c.ada, c.ben), c.signed(c.order(7, nil), c.cleo, c.ben)...))
	if err != nil || newest.From.Seq != 7 {
		t.Errorf("of two it is %+v, %v", newest.From, err)
	}
}

// TestWhoPublishesOrdersNoModes: a root in which one key does both is refused.
func TestWhoPublishesOrdersNoModes(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	c.root.Grant(trust.RoleModes("main"), 1, trust.Key{Public: c.channelKey.Public()})
	if err := c.root.Validate(); err == nil || !strings.Contains(err.Error(), "modes/main") {
		t.Errorf("got %v", err)
	}
}

func TestAPointerCarriesAnOrderOfBoundedSize(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	p := c.pointer(5)
	p.Order = c.signed(c.order(4, nil), c.ada, c.ben)
	c.point(p, c.channelKey)
	got, _, err := c.newest()
	if err != nil || len(got.Order) != 2 {
		t.Errorf("%d signatures, %v", len(got.Order), err)
	}
	for _, order := range [][][]byte{make([][]byte, 17), {make([]byte, 65<<10)}} {
		p.Order = order
		if _, err := trust.PointerPayload(p); err == nil {
			t.Errorf("%d signatures of %d bytes are taken", len(order), len(order[0]))
		}
	}
}

// TestAnOrderThatNoPointerCarries does not count: it would keep the channel from being published.
func TestAnOrderThatNoPointerCarries(t *testing.T) {
	t.Parallel()
	c := newCrisis(t)
	var people []*trust.Signer
	for range 17 {
		key := newKey(t)
		people = append(people, key)
		c.root.Grant(trust.RoleModes("main"), 17, trust.Key{Public: key.Public()})
	}
	_, err := c.ordered(c.signed(c.order(4, nil), people...))
	wantRefusal(t, err, bundle.TooLarge)
}

func FuzzOrder(f *testing.F) {
	key, err := trust.NewKey()
	if err != nil {
		f.Fatal(err)
	}
	o := trust.Order{Fleet: "lab", Channel: "main", Modes: map[string]bool{"x": true}, From: trust.Base{Epoch: 1, Seq: 1, Digest: bundle.DigestOf(nil)}, Given: noon}
	raw, err := key.Order(f.Context(), o)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		claimed := trust.ClaimedOrder([][]byte{raw})
		if claimed.Payload == "" {
			return
		}
		payload, err := claimed.Order.Payload()
		if err != nil || bundle.DigestOf(payload) != claimed.Payload {
			t.Errorf("what was read renders otherwise: %v", err)
		}
	})
}
