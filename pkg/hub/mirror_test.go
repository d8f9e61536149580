package hub_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/hub"
	"vigo.dev/pkg/trust"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// site is a centre with a channel, and a hub that mirrors it.
type site struct {
	t                             *testing.T
	centre, local                 *bundletest.Memory
	rootKey, bundleKey, channelOf *trust.Signer
	root                          trust.Root
	state                         string
	now                           time.Time
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, centre: bundletest.NewMemory(), local: bundletest.NewMemory(), state: t.TempDir(), now: noon}
	for _, key := range []**trust.Signer{&s.rootKey, &s.bundleKey, &s.channelOf} {
		k, err := trust.NewKey()
		s.must(err)
		*key = k
	}
	s.root = s.rootVersion(1, s.channelOf)
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// rootVersion makes a root in which channels are signed by a key.
func (s *site) rootVersion(n int64, channel *trust.Signer) trust.Root {
	r := trust.Root{Version: n}
	r.Grant(trust.RoleRoot, 1, trust.Key{Public: s.rootKey.Public()})
	r.Grant(trust.RoleBundle, 1, trust.Key{Public: s.bundleKey.Public()})
	r.Grant(trust.RoleAnyChannel, 1, trust.Key{Public: channel.Public()})
	return r
}

// publish makes a bundle of some text, signed unless key is nil, and points the channel to it.
func (s *site) publish(seq int64, text string, key *trust.Signer) bundle.Built {
	s.t.Helper()
	built := s.push(text, key)
	s.point(s.pointer(seq, built))
	return built
}

func (s *site) push(text string, key *trust.Signer) bundle.Built {
	s.t.Helper()
	ctx := s.t.Context()
	built, err := bundle.Build(bundle.Config{Fleet: "acme", Channels: []string{"stable"}}, []bundle.LayerInput{
		{Files: []bundle.File{{Path: "compiled.json", Data: []byte("{}")}}},
		{Module: "motd", Files: []bundle.File{{Path: "compiled.json", Data: []byte("{}")}, {Path: "files/motd", Data: []byte(text)}}},
	})
	s.must(err)
	s.must(built.Push(ctx, s.centre, ""))
	if key != nil {
		signature, err := key.SignManifest(ctx, built.Descriptor)
		s.must(err)
		_, err = trust.Attach(ctx, s.centre, built.Descriptor, signature, noon)
		s.must(err)
	}
	return built
}

func (s *site) pointer(seq int64, built bundle.Built) bundle.Pointer {
	return bundle.Pointer{Fleet: "acme", Channel: "stable", Epoch: 1, Seq: seq, Issued: noon, Expires: noon.Add(time.Hour),
		Stable: bundle.Target{Digest: built.Descriptor.Digest, Size: built.Descriptor.Size}}
}

func (s *site) point(p bundle.Pointer) {
	s.t.Helper()
	signature, err := s.channelOf.SignPointer(s.t.Context(), p)
	s.must(err)
	s.must(trust.PublishPointer(s.t.Context(), s.centre, p, [][]byte{signature}))
}

// mirror opens the hub as after a start.
func (s *site) mirror() *hub.Mirror {
	s.t.Helper()
	m, err := hub.NewMirror(hub.MirrorConfig{Upstream: s.centre, Local: s.local, Fleet: "acme", Channels: []string{"stable"}, Root: s.root,
		State: s.state, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return s.now }})
	s.must(err)
	return m
}

// shows fails unless an agent that asks the hub alone gets this pointer and can verify and read its bundle.
func (s *site) shows(seq int64, root trust.Root) {
	s.t.Helper()
	ctx := s.t.Context()
	v := trust.NewVerifier(root, func() time.Time { return s.now })
	p, _, err := v.Pointer(ctx, s.local, "acme", "stable")
	s.must(err)
	if p.Seq != seq {
		s.t.Fatalf("the hub shows pointer %s, want seq %d", p.Version(), seq)
	}
	got, err := v.Bundle(ctx, s.local, bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Stable.Digest, Size: p.Stable.Size}, "acme", "stable")
	s.must(err)
	for _, layer := range got.Manifest.Layers {
		_, err := bundle.Fetch(ctx, s.local, layer, bundle.MaxLayer)
		s.must(err)
	}
}

func TestAMirrorServesWhileTheUplinkIsDown(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(1, "one", s.bundleKey)
	m := s.mirror()
	s.must(m.Sync(t.Context()))
	s.centre.Fail(errors.New("the cable is pulled"))
	if err := m.Sync(t.Context()); err == nil {
		t.Error("nobody answers and nothing is said of it")
	}
	s.shows(1, s.root)
	s.centre.Fail(nil)
	s.publish(2, "two", s.bundleKey)
	s.must(m.Sync(t.Context()))
	s.shows(2, s.root)
}

// What is there is not fetched again: a round without news asks for the tag alone, a new bundle brings its new layer.
func TestAMirrorFetchesOnlyWhatItLacks(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	first := s.publish(1, "one", s.bundleKey)
	m := s.mirror()
	s.must(m.Sync(t.Context()))
	s.centre.Opened()
	s.must(m.Sync(t.Context()))
	if opened := s.centre.Opened(); len(opened) != 0 {
		t.Errorf("a round without news opened %v, want nothing", opened)
	}
	s.publish(2, "two", s.bundleKey)
	s.must(m.Sync(t.Context()))
	for _, d := range s.centre.Opened() {
		if d.Digest == first.Config.Layers[0].Digest {
			t.Error("the fleet layer, which is the same, was fetched again")
		}
	}
}

func TestAMirrorPublishesNothingThatAgentsWouldRefuse(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		attack func(s *site)
		want   string
	}{
		"an older pointer": {func(s *site) { s.tag("channel-stable-1.1") }, bundle.Rollback},
		"two contents under one number": {func(s *site) {
			p := s.pointer(2, s.push("other", s.bundleKey))
			signature, err := s.channelOf.SignPointer(s.t.Context(), p)
			s.must(err)
			s.centre.Untag("channel-stable-1.2")
			s.must(trust.PublishPointer(s.t.Context(), s.centre, p, [][]byte{signature}))
		}, bundle.Equivocation},
		"an expired pointer": {func(s *site) {
			p := s.pointer(3, s.push("three", s.bundleKey))
			p.Issued, p.Expires = noon.Add(-2*time.Hour), noon.Add(-time.Hour)
			s.point(p)
		}, bundle.Expired},
		"an unsigned bundle":                   {func(s *site) { s.publish(3, "three", nil) }, bundle.Unsigned},
		"a bundle signed by the channel's key": {func(s *site) { s.publish(3, "three", s.channelOf) }, bundle.WrongKey},
		"a layer with a wrong byte": {func(s *site) {
			built := s.publish(3, "three", s.bundleKey)
			s.centre.Tamper(built.Config.Layers[1].Digest, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, bundle.WrongDigest},
		"a layer that is cut off": {func(s *site) {
			built := s.publish(3, "three", s.bundleKey)
			s.centre.Tamper(built.Config.Layers[1].Digest, func(b []byte) []byte { return b[:len(b)-1] })
		}, bundle.Truncated},
		"another fleet": {func(s *site) {
			p := s.pointer(3, s.push("three", s.bundleKey))
			p.Fleet = "other"
			s.point(p)
		}, bundle.WrongFleet},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			m := s.mirror()
			s.publish(1, "one", s.bundleKey)
			s.must(m.Sync(t.Context()))
			s.publish(2, "two", s.bundleKey)
			s.must(m.Sync(t.Context()))
			tt.attack(s)
			// The hub remembers over a restart, too.
			for _, m := range []*hub.Mirror{m, s.mirror()} {
				err := m.Sync(t.Context())
				var refused *trust.Refusal
				if !errors.As(err, &refused) || refused.Name != tt.want {
					t.Errorf("got %v, want the refusal %q", err, tt.want)
				}
				s.shows(2, s.root)
			}
		})
	}
}

// tag moves the channel's tag back to what another tag leads to.
func (s *site) tag(from string) {
	s.t.Helper()
	d, err := s.centre.Resolve(s.t.Context(), from)
	s.must(err)
	s.must(s.centre.Tag(s.t.Context(), d, "channel-stable"))
}

func TestAMirrorFollowsTheRoot(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(1, "one", s.bundleKey)
	m := s.mirror()
	s.must(m.Sync(t.Context()))
	stolen := s.channelOf
	fresh, err := trust.NewKey()
	s.must(err)
	second := s.rootVersion(2, fresh)
	signature, err := s.rootKey.SignRoot(t.Context(), second)
	s.must(err)
	s.must(trust.PublishRoot(t.Context(), s.centre, second, [][]byte{signature}))

	s.channelOf = stolen
	s.publish(2, "by a thief", s.bundleKey)
	var refused *trust.Refusal
	if err := m.Sync(t.Context()); !errors.As(err, &refused) || refused.Name != bundle.WrongKey {
		t.Errorf("a key that was replaced: %v", err)
	}
	s.channelOf = fresh
	p := s.pointer(1, s.push("two", s.bundleKey))
	p.Epoch = 2
	s.point(p)
	s.must(m.Sync(t.Context()))
	if got, err := s.root.Newest(context.Background(), s.local); err != nil || got.Version != 2 {
		t.Errorf("an agent finds root %d at the hub, %v", got.Version, err)
	}
	s.shows(1, second)
	s.must(s.mirror().Sync(t.Context())) // after a restart with the root it was set up with
}

// A hub behind a hub holds the same bytes.
func TestMirrorsChain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(1, "one", s.bundleKey)
	s.must(s.mirror().Sync(t.Context()))
	near := s.local
	want, err := near.Resolve(t.Context(), "channel-stable")
	s.must(err)
	s.centre, s.local, s.state = near, bundletest.NewMemory(), t.TempDir()
	s.must(s.mirror().Sync(t.Context()))
	s.shows(1, s.root)
	if got, err := s.local.Resolve(t.Context(), "channel-stable"); err != nil || got.Digest != want.Digest {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
}

func TestALostStoreIsFilledAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(1, "one", s.bundleKey)
	s.must(s.mirror().Sync(t.Context()))
	s.local = bundletest.NewMemory()
	s.must(s.mirror().Sync(t.Context()))
	s.shows(1, s.root)
}

func TestAMemoryThatCannotBeReadIsAnError(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.publish(1, "one", s.bundleKey)
	s.must(s.mirror().Sync(t.Context()))
	s.must(os.WriteFile(filepath.Join(s.state, "mirror.json"), []byte(`{"root":`), 0o600))
	if _, err := hub.NewMirror(hub.MirrorConfig{State: s.state, Root: s.root}); err == nil {
		t.Error("the hub begins anew and could show an old pointer")
	}
}

// A hub shows its site nothing new that people have not approved, and their approvals with what they have.
func TestAMirrorCopiesApprovals(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ctx := t.Context()
	var people [2]*trust.Signer
	for i := range people {
		key, err := trust.NewKey()
		s.must(err)
		people[i] = key
		s.root.Grant(trust.RoleApproval("stable"), 2, trust.Key{Public: key.Public()})
	}
	built := s.publish(1, "one", s.bundleKey)
	r := trust.Request{Fleet: "acme", Channel: "stable", Bundle: bundle.Target{Digest: built.Descriptor.Digest, Size: built.Descriptor.Size}, Requested: noon}
	m := s.mirror()
	for i, key := range people {
		var refused *trust.Refusal
		if err := m.Sync(ctx); !errors.As(err, &refused) || refused.Name != bundle.Approvals {
			t.Fatalf("with %d of 2 approvals: %v", i, err)
		}
		if _, err := s.local.Resolve(ctx, "channel-stable"); !errors.Is(err, bundle.ErrNotFound) {
			t.Fatalf("with %d of 2 approvals the hub shows it: %v", i, err)
		}
		approval, err := key.Approve(ctx, r)
		s.must(err)
		s.must(trust.AttachApproval(ctx, s.centre, r, approval, noon))
	}
	s.must(m.Sync(ctx))
	s.shows(1, s.root)
	if _, err := trust.NewVerifier(s.root, func() time.Time { return noon }).Approved(ctx, s.local, built.Descriptor, "acme", "stable"); err != nil {
		t.Errorf("an agent of the site: %v", err)
	}

	// When one of them has left, what runs is still renewed; what is new is not shown.
	s.root.Withdraw(trust.RoleApproval("stable"), people[0].Public().ID())
	s.root.Grant(trust.RoleApproval("stable"), 1)
	s.root.Withdraw(trust.RoleApproval("stable"), people[1].Public().ID())
	stranger, err := trust.NewKey()
	s.must(err)
	s.root.Grant(trust.RoleApproval("stable"), 1, trust.Key{Public: stranger.Public()})
	s.state = t.TempDir()
	s.point(s.pointer(2, built))
	m = s.mirror()
	s.must(m.Sync(ctx))
	s.shows(2, s.root)
	s.publish(3, "three", s.bundleKey)
	if err := m.Sync(ctx); err == nil {
		t.Error("the hub shows what nobody has approved")
	}
	s.shows(2, s.root)
}
