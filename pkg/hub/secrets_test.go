package hub_test

import (
	"crypto/ed25519"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/seal"
)

// TestSealedSecretsAreMirrored brings what is sealed to nodes to a site with the pointer that names it, under a tag that keeps it,
// and shows no pointer whose secrets cannot be had.
func TestSealedSecretsAreMirrored(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	id := seal.ID(key.Public().(ed25519.PublicKey))
	built, err := seal.Pack("acme", "stable", map[string][]byte{id: []byte("closed")}, noon)
	s.must(err)
	s.must(built.Push(ctx, s.centre, seal.Tag(built.Descriptor.Digest)))
	policy := s.push("hello", s.bundleKey)
	p := s.pointer(1, policy)
	p.Secrets = &bundle.Target{Digest: built.Descriptor.Digest, Size: built.Descriptor.Size}
	s.point(p)
	m := s.mirror()
	s.must(m.Sync(ctx))
	s.shows(1, s.root)
	got, err := seal.Find(ctx, s.local, built.Descriptor, "acme", "stable", id)
	if err != nil || string(got) != "closed" {
		t.Errorf("the site has %q, %v", got, err)
	}
	if d, err := s.local.Resolve(ctx, seal.Tag(built.Descriptor.Digest)); err != nil || d.Digest != built.Descriptor.Digest {
		t.Errorf("the tag leads to %s, %v", d.Digest, err)
	}

	p = s.pointer(2, policy)
	p.Secrets = &bundle.Target{Digest: bundle.DigestOf([]byte("nowhere")), Size: 7}
	s.point(p)
	if err := m.Sync(ctx); err == nil {
		t.Error("a pointer to secrets that are not there was taken over")
	}
	s.shows(1, s.root)
}
