package controller

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/keys"
	"vigo.dev/pkg/trust"
)

// owned is a rig whose controller has real keys, and the root key that is in a safe.
type owned struct {
	*rig
	dir     string
	owner   *trust.Signer
	options KeyringOptions
}

func newOwned(t *testing.T) *owned {
	t.Helper()
	o := &owned{rig: newRig(t), dir: filepath.Join(t.TempDir(), "keys"), owner: aKey(t)}
	o.options = KeyringOptions{Root: []trust.PublicKey{o.owner.Public()}, Keys: keys.Options{Getenv: os.Getenv}, Now: func() time.Time { return o.now }}
	o.repo.Commit("first")
	return o
}

func aKey(t *testing.T) *trust.Signer {
	t.Helper()
	key, err := trust.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// keyFile makes a key in a file.
func keyFile(t *testing.T) (path string, public trust.PublicKey) {
	t.Helper()
	key := aKey(t)
	pem, err := key.PEM()
	path = filepath.Join(t.TempDir(), "new.key")
	if err := errors.Join(err, os.WriteFile(path, pem, 0o600)); err != nil {
		t.Fatal(err)
	}
	return path, key.Public()
}

// start makes a controller, as after a restart.
func (o *owned) start() *Keyring {
	o.t.Helper()
	ring, err := OpenKeyring(o.t.Context(), o.dir, o.options)
	if err != nil {
		o.t.Fatal(err)
	}
	src, err := gitsource.Open(gitsource.Options{URL: o.repo.Dir, Dir: filepath.Join(o.data, "git")})
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = src.Close() })
	o.c, err = New(Config{Data: o.data, Git: src, Store: o.store, Keys: ring, Builder: testBuilder{&o.builds}, Witness: ring, Gates: ring, Version: "1.2.3",
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: func() time.Time { return o.now }})
	if err != nil {
		o.t.Fatal(err)
	}
	return ring
}

// succeed installs the next root, in which the keys of the controller are new ones.
func (o *owned) succeed() {
	o.t.Helper()
	o.amend(func(next *trust.Root) {
		for role, ref := range map[string]*string{trust.RoleBundle: &o.options.Bundle, trust.RoleAnyChannel: &o.options.Channel} {
			path, public := keyFile(o.t)
			*ref = path
			delete(next.Roles, role)
			next.Grant(role, 1, trust.Key{Public: public})
		}
	})
}

// amend installs the next root, which change has changed.
func (o *owned) amend(change func(next *trust.Root)) {
	o.t.Helper()
	data, err := os.ReadFile(filepath.Join(o.dir, RootName))
	if err != nil {
		o.t.Fatal(err)
	}
	root, err := trust.ParseRoot(data)
	if err != nil {
		o.t.Fatal(err)
	}
	next := root.Next()
	change(&next)
	signature, err := o.owner.SignRoot(o.t.Context(), next)
	if err != nil {
		o.t.Fatal(err)
	}
	if _, err := InstallRoot(o.dir, [][]byte{signature}); err != nil {
		o.t.Fatal(err)
	}
}

// follow returns what an agent makes of the registry that was enrolled with root first.
func (o *owned) follow(first trust.Root) bundle.Pointer {
	o.t.Helper()
	root, err := first.Newest(o.t.Context(), o.store)
	if err != nil {
		o.t.Fatal(err)
	}
	v := trust.NewVerifier(root, func() time.Time { return o.now })
	p, _, err := v.Pointer(o.t.Context(), o.store, "acme", "staging")
	if err != nil {
		o.t.Fatal(err)
	}
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Stable.Digest, Size: p.Stable.Size}
	if err := v.Signature(o.t.Context(), o.store, d); err != nil {
		o.t.Fatal(err)
	}
	return p
}

func TestANewRootBeginsANewEpochAndSignsTheBundleAnew(t *testing.T) {
	t.Parallel()
	o := newOwned(t)
	first := o.start().root
	o.step()
	if p := o.follow(first); p.Version() != "1.1" {
		t.Fatalf("pointer %s", p.Version())
	}
	for want := range 2 {
		o.succeed()
		o.start()
		o.step()
		if p := o.follow(first); p.Epoch != int64(want)+2 || p.Seq != 1 {
			t.Errorf("pointer %s after root %d", p.Version(), want+2)
		}
	}
	o.start()
	o.step()
	if p := o.follow(first); p.Version() != "3.1" {
		t.Errorf("pointer %s after a restart", p.Version())
	}
	if o.builds != 1 {
		t.Errorf("%d builds", o.builds)
	}
}

// TestRecoveryFromAStolenChannelKey has a thief who used up all numbers, far in the future, and revoked what is good. The
// controller was started since, and went on from there.
func TestRecoveryFromAStolenChannelKey(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"with the state": false, "the state is lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOwned(t)
			ring := o.start()
			o.step()
			stolen, good := ring.channels, o.follow(ring.root)
			evil := good
			evil.Seq, evil.Issued, evil.Expires = 1<<63-1, o.now.AddDate(50, 0, 0), o.now.AddDate(51, 0, 0)
			evil.Revoked = []string{bundle.DigestOf([]byte("what will be built next"))}
			shown := func() {
				signature, err := stolen.SignPointer(t.Context(), evil)
				if err == nil {
					err = trust.PublishPointer(t.Context(), o.store, evil, [][]byte{signature})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			shown()
			o.start()
			if err := o.c.Step(t.Context()); err != nil {
				t.Log(err)
			}
			if lost {
				if err := os.Remove(filepath.Join(o.data, stateName)); err != nil {
					t.Fatal(err)
				}
			}
			o.succeed()
			o.start()
			o.step()
			p := o.follow(ring.root)
			if p.Version() != "2.1" || !p.Issued.Equal(o.now) || len(p.Revoked) != 0 || p.Stable.Digest != good.Stable.Digest {
				t.Errorf("after the new root: %+v", p)
			}
			for _, epoch := range []int64{1, 2} { // the thief can still write to the registry
				evil.Epoch, evil.Seq = epoch, 7
				shown()
				o.start()
				o.step()
				if p := o.follow(ring.root); p.Version() != "2.1" {
					t.Errorf("pointer %s after a restart", p.Version())
				}
			}
		})
	}
}

func TestALostRegistryGetsTheRootsAgain(t *testing.T) {
	t.Parallel()
	o := newOwned(t)
	first := o.start().root
	o.step()
	o.succeed()
	o.start()
	o.step()
	o.store = newDirStore(t, t.TempDir())
	o.start()
	o.step()
	o.step()
	if p := o.follow(first); p.Epoch != 2 {
		t.Errorf("pointer %s", p.Version())
	}
}

func TestKeysThatTheRootDoesNotListAreRefused(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(o *owned, path string){
		"bundle": func(o *owned, path string) { o.options.Bundle = path }, "channel": func(o *owned, path string) { o.options.Channel = path },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOwned(t)
			o.start()
			path, _ := keyFile(t)
			edit(o, path)
			_, err := OpenKeyring(t.Context(), o.dir, o.options)
			if err == nil || !strings.Contains(err.Error(), "opening the "+name+" key") || len(fault.Hints(err)) == 0 {
				t.Errorf("%v, hints %q", err, fault.Hints(err))
			}
		})
	}
}

// TestWhatAgentsWouldRefuseIsNotSigned has channels whose roles the key of the controller does not fill.
func TestWhatAgentsWouldRefuseIsNotSigned(t *testing.T) {
	t.Parallel()
	o := newOwned(t)
	ring := o.start()
	ring.root = ring.root.Next()
	other := trust.Key{Public: aKey(t).Public()}
	ring.root.Grant(trust.RoleChannel("staging"), 1, other)
	ring.root.Grant(trust.RoleChannel("production"), 2, other, trust.Key{Public: ring.channels.Public()})
	for channel, want := range map[string]string{"staging": "not listed", "production": "more signatures"} {
		p := bundle.Pointer{Fleet: "acme", Channel: channel, Epoch: 2, Seq: 1, Issued: o.now, Expires: o.now.Add(time.Hour), Stable: bundle.Target{Digest: bundle.DigestOf(nil), Size: 1}}
		if _, _, err := ring.SignPointer(t.Context(), p); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", channel, err)
		}
	}
}

func TestInstallingARoot(t *testing.T) {
	t.Parallel()
	o := newOwned(t)
	root := o.start().root
	next := root.Next()
	next.Grant("task", 1, trust.Key{Public: o.owner.Public()})
	sign := func(key *trust.Signer, r trust.Root) [][]byte {
		s, err := key.SignRoot(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{s}
	}
	if _, err := InstallRoot(o.dir, sign(aKey(t), next)); err == nil {
		t.Error("a root signed by a stranger is installed")
	}
	if _, err := InstallRoot(o.dir, sign(o.owner, next.Next())); err == nil {
		t.Error("a root that skips one is installed")
	}
	for range 2 {
		if got, err := InstallRoot(o.dir, sign(o.owner, next)); err != nil || got.Version != 2 {
			t.Errorf("version %d, %v", got.Version, err)
		}
	}
	if err := os.WriteFile(filepath.Join(o.dir, lineageDir, signaturesName(2)), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyring(t.Context(), o.dir, o.options); err == nil || len(fault.Hints(err)) == 0 {
		t.Errorf("damaged signatures: %v", err)
	}
}

// provenance is what somebody who trusts a root is told about where the bundle of a channel comes from.
func (o *owned) provenance(root trust.Root, p bundle.Pointer) []trust.Provenance {
	o.t.Helper()
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: p.Stable.Digest, Size: p.Stable.Size}
	all, err := trust.NewVerifier(root, func() time.Time { return o.now }).Provenance(o.t.Context(), o.store, d)
	if err != nil {
		o.t.Fatal(err)
	}
	return all
}

// It is stated once from what a bundle was built, however often the controller is started, and again with the keys of a new
// root. The bundle stays what it is.
func TestProvenanceIsStatedOnceForEachRoot(t *testing.T) {
	t.Parallel()
	o := newOwned(t)
	ring := o.start()
	o.step()
	first, err := trust.ParseRoot(ring.Root())
	if err != nil {
		t.Fatal(err)
	}
	p := o.follow(first)
	all := o.provenance(first, p)
	if len(all) != 1 || all[0].Commit != p.Stable.Commit || all[0].Version != "1.2.3" || all[0].Builder != trust.BuilderID || all[0].Ref != "main" || !all[0].Finished.Equal(o.now) {
		t.Fatalf("%+v", all)
	}
	o.now = o.now.Add(time.Hour)
	o.start()
	o.c.rebuild = true // as when the registry was found empty
	o.step()
	if again := o.provenance(first, p); len(again) != 1 {
		t.Errorf("%d provenances", len(again))
	}
	o.succeed()
	ring = o.start()
	o.step()
	second, err := trust.ParseRoot(ring.Root())
	if err != nil {
		t.Fatal(err)
	}
	next := o.follow(first)
	if all := o.provenance(second, next); next.Epoch != 2 || next.Stable != p.Stable || len(all) != 1 || all[0].Commit != p.Stable.Commit {
		t.Errorf("under root 2: %+v %+v", next, all)
	}
}
