package ocistore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/ocistore"
)

func TestAStageKeepsNothingUntilItIsCommitted(t *testing.T) {
	t.Parallel()
	origin, dir := bundletest.NewMemory(), filepath.Join(t.TempDir(), "cache")
	p := publish(t, origin)
	c := newCache(t, origin, dir)
	stage := c.Stage()
	if _, err := p.follow(t.Context(), stage); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("looking has made the folder: %v", err)
	}
	origin.Opened()
	if _, err := p.follow(t.Context(), stage); err != nil {
		t.Fatal(err)
	}
	if again := origin.Opened(); len(again) != 0 {
		t.Errorf("fetched again: %v", again)
	}
	for range 2 {
		if err := stage.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	origin.Fail(errDown)
	if _, err := p.follow(t.Context(), newCache(t, origin, dir).Stage()); err != nil {
		t.Errorf("offline: %v", err)
	}
}

// TestAMirrorWithOtherSignaturesDoesNotHideOurs: the registry shows one that nobody trusts, and not the one we have verified.
func TestAMirrorWithOtherSignaturesDoesNotHideOurs(t *testing.T) {
	t.Parallel()
	origin, dir := bundletest.NewMemory(), t.TempDir()
	p := publish(t, origin)
	stage := newCache(t, origin, dir).Stage()
	if _, err := p.follow(t.Context(), stage); err != nil {
		t.Fatal(err)
	}
	if err := stage.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	mirror := bundletest.NewMemory()
	other := publish(t, mirror) // signed by other keys
	d := p.built.Descriptor
	both, err := newCache(t, mirror, dir).Referrers(t.Context(), d, bundle.SignatureMediaType)
	if err != nil || len(both) == 0 {
		t.Fatalf("signatures: %v, %v", both, err)
	}
	ours, err := newCache(t, origin, dir).Local().Referrers(t.Context(), d, bundle.SignatureMediaType)
	if err != nil || both[0].Digest != ours[0].Digest {
		t.Errorf("the first is %v, want %v; %v", both[0], ours[0], err)
	}
	if other.built.Descriptor.Digest != d.Digest || len(both) != 2 {
		t.Errorf("%d signatures of one bundle, want ours and theirs", len(both))
	}
}

func TestAnIndexIsMadeAnewFromTheContent(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(string) error{
		"gone":    os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"garbage": func(path string) error { return os.WriteFile(path, []byte("]["), 0o600) },
		"a folder": func(path string) error {
			return errors.Join(os.Remove(path), os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "x"), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin, dir := bundletest.NewMemory(), t.TempDir()
			p := publish(t, origin)
			stage := newCache(t, origin, dir).Stage()
			if _, err := p.follow(t.Context(), stage); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(stage.Commit(t.Context()), damage(filepath.Join(dir, "index.json"))); err != nil {
				t.Fatal(err)
			}
			origin.Fail(errDown)
			c := newCache(t, origin, dir)
			d := p.built.Descriptor
			if found, err := c.Referrers(t.Context(), d, bundle.SignatureMediaType); err != nil || len(found) != 1 {
				t.Errorf("the signature is lost: %v, %v", found, err)
			}
			if _, err := bundle.Fetch(t.Context(), c, d, bundle.MaxManifest); err != nil {
				t.Error(err)
			}
			if _, err := c.Resolve(t.Context(), "channel-main"); !errors.Is(err, ocistore.ErrOffline) {
				t.Errorf("the tag: %v", err)
			}
		})
	}
}
