package controller

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// held is a controller whose channel production is given what ada and ben have approved.
type held struct {
	*owned
	ada, ben *trust.Signer
}

func newHeld(t *testing.T) *held {
	t.Helper()
	h := &held{newOwned(t), aKey(t), aKey(t)}
	h.owned.start()
	h.hold()
	h.owned.start()
	return h
}

// hold installs a root that asks both.
func (h *held) hold() {
	h.t.Helper()
	h.amend(func(next *trust.Root) {
		next.Grant(trust.RoleApproval("production"), 2, trust.Key{Public: h.ada.Public()}, trust.Key{Public: h.ben.Public()})
	})
}

// shown is the pointer of a channel; its Seq is 0 when there is none.
func (h *held) shown(channel string) bundle.Pointer {
	h.t.Helper()
	p, _, _, err := h.c.cfg.Keys.Current(h.t.Context(), h.store, "acme", channel)
	if err != nil && !errors.Is(err, bundle.ErrNotFound) {
		h.t.Fatal(err)
	}
	return p
}

// ask asks for what staging runs.
func (h *held) ask() trust.Request {
	h.t.Helper()
	r := trust.Request{Fleet: "acme", Channel: "production", Bundle: h.shown("staging").Stable, Requested: h.now}
	if p := h.shown("production"); p.Seq > 0 {
		r.From = trust.Base{Epoch: p.Epoch, Seq: p.Seq, Digest: p.Stable.Digest}
	}
	if err := trust.PublishRequest(h.t.Context(), h.store, r); err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *held) approve(r trust.Request, by ...*trust.Signer) {
	h.t.Helper()
	for _, key := range by {
		approval, err := key.Approve(h.t.Context(), r)
		if err == nil {
			err = trust.AttachApproval(h.t.Context(), h.store, r, approval, h.now)
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// waits fails unless production waits for a reason; empty: for nothing.
func (h *held) waitsFor(reason string) {
	h.t.Helper()
	s := h.c.Status()
	if s.Failure != nil {
		h.t.Errorf("waiting is shown as a failure: %+v", s.Failure)
	}
	if reason == "" {
		if len(s.Waiting) > 0 {
			h.t.Errorf("it waits: %+v", s.Waiting)
		}
		return
	}
	if len(s.Waiting) != 1 || s.Waiting[0].Channel != "production" || !strings.Contains(s.Waiting[0].Reason, reason) {
		h.t.Errorf("waiting %+v, want %q", s.Waiting, reason)
	}
}

func TestAHeldChannelIsGivenWhatPeopleApproved(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	h.step()
	first := h.shown("staging").Stable
	if first.Digest == "" || h.shown("production").Seq != 0 {
		t.Fatalf("staging %+v, production %+v", first, h.shown("production"))
	}
	h.waitsFor("nothing was promoted")

	r := h.ask()
	h.approve(r, h.ada)
	h.step()
	h.waitsFor("1 of at least 2")
	h.approve(r, h.ben)
	h.step()
	p := h.shown("production")
	if p.Stable != first || p.Seq != 1 {
		t.Fatalf("production %+v, want %+v", p, first)
	}
	h.waitsFor("")

	// A commit goes to staging alone, and the heartbeat of production goes on.
	h.repo.Put(map[string]string{"motd": "two"}).Commit("second")
	h.step()
	h.now = h.now.Add(43 * time.Hour)
	h.step()
	if s, p := h.shown("staging"), h.shown("production"); s.Stable == first || p.Stable != first || p.Seq != 2 {
		t.Errorf("staging %+v, production %+v", s, p)
	}

	// And the next one, also after a restart in between.
	r = h.ask()
	h.approve(r, h.ada, h.ben)
	h.owned.start()
	h.step()
	if s, p := h.shown("staging"), h.shown("production"); s.Stable != p.Stable || p.Seq != 3 {
		t.Errorf("staging %+v, production %+v", s, p)
	}
}

func TestThePromotionIsInTheProvenance(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	ring := h.c.cfg.Witness.(*Keyring)
	h.step()
	r := h.ask()
	h.approve(r, h.ada, h.ben)
	h.step()
	h.step()
	want := []string{h.ada.Public().ID(), h.ben.Public().ID()}
	slices.Sort(want)
	var got []trust.Promotion
	for _, p := range h.provenance(ring.root, h.shown("production")) {
		got = append(got, p.Promotions...)
	}
	if len(got) != 1 || got[0].Channel != "production" || !slices.Equal(got[0].Approved, want) {
		t.Errorf("%+v", got)
	}
}

// What was asked when the channel ran something else is not what people would agree to now.
func TestAStaleRequestIsNotCarriedOut(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	h.step()
	h.approve(h.ask(), h.ada, h.ben)
	h.step()
	h.repo.Put(map[string]string{"motd": "two"}).Commit("second")
	h.step()
	two := h.ask()
	h.repo.Put(map[string]string{"motd": "three"}).Commit("third")
	h.step()
	three := h.ask() // in the place of two
	h.approve(three, h.ada, h.ben)
	h.step()
	if p := h.shown("production"); p.Stable != three.Bundle {
		t.Fatalf("production %+v", p)
	}
	if err := trust.PublishRequest(t.Context(), h.store, two); err != nil { // by somebody who may write to the registry
		t.Fatal(err)
	}
	h.approve(two, h.ada, h.ben)
	h.step()
	if p := h.shown("production"); p.Stable != three.Bundle {
		t.Errorf("production %+v", p)
	}
	h.waitsFor("the channel has moved since")
}

// Approvals of what our keys never signed are not enough, and those of another request for it are not of this one.
func TestWhatIsAskedMustBeOurs(t *testing.T) {
	t.Parallel()
	h := newHeld(t)
	h.step()
	r := h.ask()
	foreign, err := bundle.Build(bundle.Config{Fleet: "acme", Channels: []string{"production"}}, nil)
	if err == nil {
		err = foreign.Push(t.Context(), h.store, "")
	}
	var signature []byte
	if err == nil {
		signature, err = aKey(t).SignManifest(t.Context(), foreign.Descriptor)
	}
	if err == nil {
		_, err = trust.Attach(t.Context(), h.store, foreign.Descriptor, signature, h.now)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.Bundle = bundle.Target{Digest: foreign.Descriptor.Digest, Size: foreign.Descriptor.Size}
	if err := trust.PublishRequest(t.Context(), h.store, r); err != nil {
		t.Fatal(err)
	}
	h.approve(r, h.ada, h.ben)
	h.step()
	h.waitsFor("wrong-key")
	r = h.ask()
	h.approve(r, h.ada, h.ben)
	r.Note = "another one"
	if err := trust.PublishRequest(t.Context(), h.store, r); err != nil {
		t.Fatal(err)
	}
	h.step()
	h.waitsFor("another request")
	if p := h.shown("production"); p.Seq != 0 {
		t.Errorf("production %+v", p)
	}
}

// A root that begins to ask: what runs goes on under its old pointer, and under the new root when people stand for it.
func TestARootThatBeginsToAsk(t *testing.T) {
	t.Parallel()
	h := &held{newOwned(t), aKey(t), aKey(t)}
	h.owned.start()
	h.step()
	before := h.shown("production")
	h.hold()
	h.owned.start()
	h.step()
	if p := h.shown("production"); p.Epoch != 1 || p.Seq != before.Seq {
		t.Errorf("production %+v", p)
	}
	if p := h.shown("staging"); p.Epoch != 2 {
		t.Errorf("staging %+v", p)
	}
	h.waitsFor("has to be approved under the new root")
	r := h.ask() // the same bundle again
	h.approve(r, h.ada, h.ben)
	h.step()
	if p := h.shown("production"); p.Epoch != 2 || p.Stable != before.Stable {
		t.Errorf("production %+v", p)
	}
	h.waitsFor("")
}
