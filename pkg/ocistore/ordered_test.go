package ocistore_test

import (
	"errors"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/ocistore"
)

func TestTheNextSourceIsAskedWhenOneFails(t *testing.T) {
	t.Parallel()
	near, far := bundletest.NewMemory(), bundletest.NewMemory()
	p := publish(t, far)
	both := ocistore.Ordered(near, far)
	if _, err := p.follow(t.Context(), both); err != nil {
		t.Errorf("the first is empty: %v", err)
	}
	near.Fail(errDown)
	if _, err := p.follow(t.Context(), both); err != nil {
		t.Errorf("the first is away: %v", err)
	}
	near.Fail(nil)
	if err := p.built.Push(t.Context(), near, ""); err != nil { // a mirror without signatures
		t.Fatal(err)
	}
	near.Tamper(p.built.Descriptor.Digest, func(b []byte) []byte { return b[1:] })
	if _, err := p.follow(t.Context(), both); err != nil {
		t.Errorf("the first is damaged and lacks signatures: %v", err)
	}
	far.Fail(errDown)
	if _, err := both.Resolve(t.Context(), "nothing"); !errors.Is(err, errDown) || errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("nobody knows: %v", err)
	}
	far.Fail(nil)
	if _, err := both.Resolve(t.Context(), "nothing"); !errors.Is(err, bundle.ErrNotFound) {
		t.Errorf("nobody has it: %v", err)
	}
}
