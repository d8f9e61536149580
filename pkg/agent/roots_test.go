package agent

import (
	"os"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/trust"
)

// succeed publishes the next root document, which edit makes of the one in force, signed by keys; none: by its owner.
func (r *rig) succeed(edit func(*trust.Root), by ...*trust.Signer) {
	r.t.Helper()
	document, err := r.keys.root.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	next, err := trust.ParseRoot(document) // a copy
	if err != nil {
		r.t.Fatal(err)
	}
	next.Version++
	edit(&next)
	if len(by) == 0 {
		by = []*trust.Signer{r.keys.owner}
	}
	var signatures [][]byte
	for _, key := range by {
		s, err := key.SignRoot(r.t.Context(), next)
		if err != nil {
			r.t.Fatal(err)
		}
		signatures = append(signatures, s)
	}
	if err := trust.PublishRoot(r.t.Context(), r.store, next, signatures); err != nil {
		r.t.Fatal(err)
	}
	r.keys.root, r.seq = next, 0
}

// only replaces all keys of a role by one.
func only(role string, key *trust.Signer) func(*trust.Root) {
	return func(root *trust.Root) {
		delete(root.Roles, role)
		root.Grant(role, 1, trust.Key{Public: key.Public()})
	}
}

// changeChannelKey and changeBundleKey publish a root that replaces a key; what is published next is signed by the new one.
func (r *rig) changeChannelKey() {
	r.keys.channel = newKey(r.t)
	r.succeed(only(trust.RoleAnyChannel, r.keys.channel))
}

func (r *rig) changeBundleKey() {
	r.keys.bundle = newKey(r.t)
	r.succeed(only(trust.RoleBundle, r.keys.bundle))
}

// wantRoot fails unless version n of the root is in force: on disk, and in the last check-in.
func (r *rig) wantRoot(n int64) {
	r.t.Helper()
	root, err := r.state.LoadRoot()
	if err != nil {
		r.t.Fatal(err)
	}
	if said := r.service.last(r.t).Root; root.Version != n || said != n {
		r.t.Errorf("root %d is on disk, the check-in says %d, want %d\n%s", root.Version, said, n, r.logged)
	}
}

func (r *rig) wantNoRefusals() {
	r.t.Helper()
	if got := r.service.last(r.t).Refusals; len(got) != 0 {
		r.t.Errorf("refusals in the report: %+v", got)
	}
}

func TestAKeyIsReplacedWithoutAGap(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*rig){
		"of the channel": (*rig).changeChannelKey, "of bundles": (*rig).changeBundleKey,
		"of the root": func(r *rig) {
			old := r.keys.owner
			r.keys.owner = newKey(r.t)
			r.succeed(only(trust.RoleRoot, r.keys.owner), old, r.keys.owner)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.publish(motdPolicy("one"))
			a := r.start()
			r.once(a)
			change(r)
			r.publish(motdPolicy("two"))
			r.once(a) // long before the hour: what is refused for its keys is reason to look
			r.wantMotd("two")
			r.wantRoot(2)
			r.wantNoRefusals()
		})
	}
}

func TestARootIsLookedForEveryHour(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("one"))
	a := r.start()
	r.once(a)
	r.succeed(func(root *trust.Root) { root.Grant("task", 1, trust.Key{Public: r.keys.owner.Public()}) })
	r.now = r.now.Add(rootInterval - time.Minute)
	r.once(a)
	r.wantRoot(1)
	r.now = r.now.Add(time.Minute)
	r.once(a)
	r.wantRoot(2)
	r.wantNoRefusals() // the pointer is signed by a key that is still trusted
	r.once(r.start())
	r.wantRoot(2)
}

func TestANodeThatWasAwayFollowsAllRootsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("one"))
	r.once(r.start())
	r.origin.cut(true)
	r.changeChannelKey()
	r.changeBundleKey()
	old := r.keys.owner
	r.keys.owner = newKey(t)
	r.succeed(only(trust.RoleRoot, r.keys.owner), old, r.keys.owner)
	r.publish(motdPolicy("two"))
	r.drift()
	a := r.start()
	r.once(a)
	r.wantMotd("one")
	r.wantRoot(1)
	r.origin.cut(false)
	r.now = r.now.Add(time.Minute)
	r.once(a)
	r.wantMotd("two")
	r.wantRoot(4)
	r.wantNoRefusals()
	for n := int64(2); n <= 4; n++ {
		if _, err := a.Origin.Local().Resolve(t.Context(), trust.RootTag(n)); err != nil {
			t.Errorf("the cache: %v", err)
		}
	}
}

func TestRootsThatAreForgedAreRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		forge func(r *rig, thief *trust.Signer)
		want  string
	}{
		"signed by a stranger": {func(r *rig, thief *trust.Signer) {
			r.succeed(only(trust.RoleRoot, thief), thief)
		}, bundle.WrongKey},
		"signed by the old threshold short by one": {func(r *rig, thief *trust.Signer) {
			r.succeed(only(trust.RoleRoot, thief), r.keys.owner, thief)
		}, bundle.Threshold},
		"not signed by its own keys": {func(r *rig, thief *trust.Signer) {
			r.succeed(only(trust.RoleRoot, thief), r.keys.owner, newKey(r.t))
		}, bundle.Threshold},
		"not signed": {func(r *rig, thief *trust.Signer) {
			r.succeed(only(trust.RoleRoot, thief), r.keys.channel)
		}, bundle.WrongKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			second := newKey(t)
			r.keys.root.Grant(trust.RoleRoot, 2, trust.Key{Public: second.Public()})
			r.pin()
			r.publish(motdPolicy("good"))
			pinned := r.keys.root
			a := r.start()
			before := snapshot(t, r.state.dir)[rootFile]
			r.once(a)
			tt.forge(r, newKey(t))
			r.keys.root = pinned
			r.now = r.now.Add(rootInterval)
			for range 2 { // as long as it is there, it is told
				r.drift()
				r.once(a)
				r.wantMotd("good")
				r.wantRoot(1)
				r.wantRefusal(tt.want)
			}
			if after := snapshot(t, r.state.dir)[rootFile]; after != before {
				t.Error("the root on disk was changed")
			}
		})
	}
}

func TestAnOlderRootIsNotTakenUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.keys
	r.publish(motdPolicy("one"))
	r.once(r.start())
	r.changeChannelKey()
	r.publish(motdPolicy("two"))
	r.once(r.start())
	d, err := r.store.Resolve(t.Context(), trust.RootTag(2))
	if err == nil {
		err = r.store.Tag(t.Context(), d, trust.RootTag(3)) // replayed under the next number
	}
	if err != nil {
		t.Fatal(err)
	}
	r.once(r.start())
	r.wantRoot(2)
	r.wantRefusal(bundle.Rollback)
	r.keys, r.seq = first, 1<<40
	r.publish(motdPolicy("by the old key"))
	r.once(r.start())
	r.wantMotd("two")
	r.wantRoot(2)
}

func TestAPointerOfAnEpochWithoutItsRootIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	built := r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	p := r.pointer(built.Descriptor)
	p.Epoch = 2
	r.point(p, r.keys.channel)
	r.once(a)
	r.wantRefusal(bundle.WrongEpoch)
}

// Between keeping a root and anything that follows from it, a process may end.
func TestAnAgentThatDiesWithANewRootGoesOnWithIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("one"))
	r.once(r.start())
	r.changeBundleKey()
	r.publish(motdPolicy("two"))
	a := r.start()
	if !a.followRoot(t.Context()) {
		t.Fatalf("no root was followed\n%s", r.logged)
	}
	r.origin.cut(true) // and what comes up next has no network
	r.drift()
	r.once(r.start())
	r.wantMotd("by hand")
	r.wantRoot(2)
	r.wantRefusal(bundle.WrongKey)
	r.origin.cut(false)
	r.now = r.now.Add(time.Minute)
	r.once(r.start())
	r.wantMotd("two")
}

// A root that cannot be kept is not used: after a restart the older one would be in force again.
func TestARootThatCannotBeKeptIsNotInForce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("one"))
	a := r.start()
	r.once(a)
	r.changeChannelKey()
	r.publish(motdPolicy("two"))
	name := r.state.Path(rootFile)
	if err := os.Rename(name, name+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(name+"/in the way", 0o700); err != nil {
		t.Fatal(err)
	}
	r.drift()
	r.once(a)
	r.wantMotd("one")
	if got := a.rootCopy().Version; got != 1 {
		t.Errorf("root %d is in force", got)
	}
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".away", name); err != nil {
		t.Fatal(err)
	}
	r.once(a)
	r.wantMotd("two")
	r.wantRoot(2)
}

func TestADryRunKeepsNoRoot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("one"))
	r.once(r.start())
	r.changeChannelKey()
	r.publish(motdPolicy("two"))
	before := snapshot(t, r.state.dir)
	run := r.once(r.start(func(c *Config) { c.DryRun = true }))
	if run.Counts.Drift != 1 {
		t.Errorf("the run: %+v", run)
	}
	after := snapshot(t, r.state.dir)
	for _, name := range []string{rootFile, trustFile} {
		if before[name] != after[name] {
			t.Errorf("%s was written", name)
		}
	}
}
