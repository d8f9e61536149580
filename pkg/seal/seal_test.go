package seal_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"testing"
	"time"

	"filippo.io/age"

	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/seal"
)

func key(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

// TestKeys holds the two halves against each other, for many keys: what is sealed to the public key opens with the private.
func TestKeys(t *testing.T) {
	t.Parallel()
	for n := range byte(50) {
		k := key(n)
		to, err := seal.RecipientOf(public(k))
		if err != nil {
			t.Fatal(err)
		}
		as, err := seal.IdentityOf(k)
		if err != nil {
			t.Fatal(err)
		}
		if as.Recipient().String() != to.String() {
			t.Fatalf("key %d: recipient %s belongs to another identity than %s", n, to, as.Recipient())
		}
	}
	if _, err := seal.RecipientOf(make(ed25519.PublicKey, 32)); err == nil {
		t.Error("a point of low order was accepted")
	}
	if _, err := age.ParseX25519Recipient("age1"); err == nil {
		t.Error("age accepts anything")
	}
}

// TestOpen seals to one node and tries everybody else.
func TestOpen(t *testing.T) {
	t.Parallel()
	mine, other := key(1), key(2)
	data, err := seal.Envelope{Fleet: "acme", Channel: "stable", Node: "web-1", Key: seal.ID(public(mine)),
		Secrets: map[string]seal.Value{"db/password": {Value: []byte("hunter2"), Version: "sha256:1"}}}.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := seal.Seal(public(mine), data)
	if err != nil {
		t.Fatal(err)
	}
	e, err := seal.Open(mine, "acme", "stable", "web-1", sealed)
	if err != nil || string(e.Secrets["db/password"].Value) != "hunter2" {
		t.Fatalf("got %v, %v", e, err)
	}
	for name, open := range map[string]func() error{
		"another node's key": func() error { _, err := seal.Open(other, "acme", "stable", "web-1", sealed); return err },
		"another node":       func() error { _, err := seal.Open(mine, "acme", "stable", "web-2", sealed); return err },
		"another fleet":      func() error { _, err := seal.Open(mine, "evil", "stable", "web-1", sealed); return err },
		"another channel":    func() error { _, err := seal.Open(mine, "acme", "canary", "web-1", sealed); return err },
		"the key it was copied to": func() error {
			copied, err := seal.Seal(public(other), data)
			if err != nil {
				return err
			}
			_, err = seal.Open(other, "acme", "stable", "web-1", copied)
			return err
		},
	} {
		if err := open(); !errors.Is(err, seal.ErrNotOurs) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for i := range sealed {
		broken := append([]byte(nil), sealed...)
		broken[i] ^= 1
		if _, err := seal.Open(mine, "acme", "stable", "web-1", broken); err == nil {
			t.Fatalf("a bit was turned at %d, and it opened", i)
		}
	}
}

// TestArtifact packs for a few nodes and for many, and finds each.
func TestArtifact(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{0, 1, 32, 33, 500} {
		sealed := map[string][]byte{}
		for i := range nodes {
			pub := make(ed25519.PublicKey, 32)
			pub[0], pub[1] = byte(i), byte(i>>8)
			sealed[seal.ID(pub)] = []byte(fmt.Sprint(i))
		}
		built, err := seal.Pack("acme", "stable", sealed, time.Unix(0, 0))
		if err != nil {
			t.Fatal(err)
		}
		again, err := seal.Pack("acme", "stable", sealed, time.Unix(0, 0))
		if err != nil || again.Descriptor.Digest != built.Descriptor.Digest {
			t.Fatalf("%d nodes: packed twice, two digests (%v)", nodes, err)
		}
		store := bundletest.NewMemory()
		if err := built.Push(context.Background(), store, seal.Tag(built.Descriptor.Digest)); err != nil {
			t.Fatal(err)
		}
		for id, want := range sealed {
			got, err := seal.Find(context.Background(), store, built.Descriptor, "acme", "stable", id)
			if err != nil || string(got) != string(want) {
				t.Fatalf("%d nodes: node %s: got %q, %v", nodes, id, got, err)
			}
		}
		if got, err := seal.Find(context.Background(), store, built.Descriptor, "acme", "stable", seal.ID(make([]byte, 32))); nodes == 0 && (err != nil || got != nil) {
			t.Errorf("a stranger got %q, %v", got, err)
		}
		if _, err := seal.Find(context.Background(), store, built.Descriptor, "acme", "canary", seal.ID(nil)); err == nil {
			t.Error("it was taken for another channel")
		}
	}
}
