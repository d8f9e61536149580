package ocistore_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// slow is a mirror that is cut off: every question ends with a time-out.
type slow struct {
	bundle.Source
	timeout time.Duration
	asked   atomic.Int32
	back    atomic.Bool
}

func (s *slow) Resolve(ctx context.Context, tag string) (bundle.Descriptor, error) {
	s.asked.Add(1)
	if s.back.Load() {
		return s.Source.Resolve(ctx, tag)
	}
	time.Sleep(s.timeout)
	return bundle.Descriptor{}, errDown
}

func TestADeadMirrorCostsOneTimeoutAndIsUsedAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mirror, central := bundletest.NewMemory(), bundletest.NewMemory()
		publish(t, mirror)
		publish(t, central)
		near, far := &slow{Source: mirror, timeout: 5 * time.Second}, &slow{Source: central}
		far.back.Store(true)
		both := ocistore.Ordered(near, far)
		var waited time.Duration
		cycle := func() {
			t.Helper()
			began := time.Now()
			if _, err := both.Resolve(t.Context(), "channel-main"); err != nil {
				t.Error(err)
			}
			waited += time.Since(began)
			time.Sleep(15 * time.Second)
		}
		for range 20 {
			cycle()
		}
		if waited != near.timeout {
			t.Errorf("20 cycles waited %s for a mirror that is dead, want one time-out of %s", waited, near.timeout)
		}
		if n := near.asked.Load(); n < 4 || n > 16 {
			t.Errorf("in five minutes a dead mirror was asked %d times", n)
		}
		if _, err := both.Resolve(t.Context(), "nothing"); !errors.Is(err, errDown) || errors.Is(err, bundle.ErrNotFound) {
			t.Errorf("the mirror may have it: %v", err)
		}
		near.back.Store(true)
		for range 5 {
			cycle()
		}
		before := far.asked.Load()
		cycle()
		if far.asked.Load() != before {
			t.Error("a mirror that is back is not used")
		}
	})
}

// An agent asks for a root document that mostly is not there: a dead mirror must not make that the end of all questions.
func TestADeadMirrorDoesNotMakeTheOthersOffline(t *testing.T) {
	t.Parallel()
	near, far := bundletest.NewMemory(), bundletest.NewMemory()
	publish(t, far)
	near.Fail(errDown)
	c, err := ocistore.Cached(ocistore.Ordered(near, far), t.TempDir(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Resolve(t.Context(), "root-2"); !errors.Is(err, ocistore.ErrOffline) || errors.Is(err, bundle.ErrNotFound) {
			t.Errorf("the dead mirror may have it: %v", err)
		}
		if _, err := c.Resolve(t.Context(), "channel-main"); err != nil || c.Offline() != nil {
			t.Errorf("what the other has: %v, %v", err, c.Offline())
		}
	}
}

// A mirror may lack the signatures that the registry behind it has: that one is asked again though the mirror answers.
func TestASourceBehindAMirrorThatAnswersIsUsedAgainWhenItIsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		mirror, central := bundletest.NewMemory(), bundletest.NewMemory()
		p := publish(t, central)
		if err := p.built.Push(t.Context(), mirror, "c-c0ffee"); err != nil {
			t.Fatal(err)
		}
		both := ocistore.Ordered(mirror, central)
		signatures := func() []bundle.Descriptor {
			found, _ := both.Referrers(t.Context(), p.built.Descriptor, bundle.SignatureMediaType) // an error: none
			return found
		}
		central.Fail(errDown)
		if _, err := both.Resolve(t.Context(), "c-c0ffee"); err != nil || len(signatures()) != 0 {
			t.Errorf("the registry is away: %v", err)
		}
		central.Fail(nil)
		time.Sleep(time.Minute)
		for range 2 {
			if _, err := both.Resolve(t.Context(), "c-c0ffee"); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		if len(signatures()) == 0 {
			t.Error("the registry is back, and not asked for what the mirror lacks")
		}
	})
}

func TestWhenAllMirrorsAreDeadAllAreAsked(t *testing.T) {
	t.Parallel()
	near, far := bundletest.NewMemory(), bundletest.NewMemory()
	p := publish(t, far)
	both := ocistore.Ordered(near, far)
	near.Fail(errDown)
	far.Fail(errDown)
	for range 2 {
		if _, err := both.Resolve(t.Context(), "channel-main"); !errors.Is(err, errDown) {
			t.Errorf("nobody is there: %v", err)
		}
	}
	far.Fail(nil)
	if _, err := p.follow(t.Context(), both); err != nil {
		t.Errorf("the second is back: %v", err)
	}
}
