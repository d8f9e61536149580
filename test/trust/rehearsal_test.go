package trust

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/trust"
	"vigo.dev/test/programs"
)

// replace puts the next root in force, as docs/trust.md has it: the controller is stopped, changes are proposed, two owners
// sign on folders of their own, and it is published. The controller is not started yet.
func (f *fleet) replace(owners []string, changes ...[]string) {
	f.t.Helper()
	f.up.Stop(f.t)
	desk, err := os.MkdirTemp(f.dir, "desk")
	if err != nil {
		f.t.Fatal(err)
	}
	for _, change := range changes {
		programs.Run(f.t, nil, "vigo", append([]string{"trust", change[0], f.path("data/keys/root.json"), "--dir", desk}, change[1:]...)...)
	}
	f.version++
	proposal := fmt.Sprintf("%s/root-%d.json", desk, f.version)
	for _, owner := range owners {
		programs.Run(f.t, nil, "vigo", "trust", "sign", proposal, "--key", f.path(owner+".key"))
	}
	programs.Run(f.t, nil, "vigo", "trust", "publish", proposal, "--data", f.path("data"))
}

// changeKeys is the change to new keys of the controller.
func (f *fleet) changeKeys(roles ...string) (changes [][]string) {
	for _, role := range roles {
		pair := f.key(strings.NewReplacer("/", "-", "*", "all").Replace(role) + fmt.Sprint("-", f.version+1))
		changes = append(changes, []string{"rotate", role, "--to", pair + ".pub"})
		if role == trust.RoleBundle {
			f.bundle = pair + ".key"
		} else {
			f.channel = pair + ".key"
		}
	}
	return changes
}

// A thief has the keys of the controller, as they were, and the password of the registry.
type thief struct {
	f               *fleet
	bundle, channel string
}

func (f *fleet) steal() thief { return thief{f, f.bundle, f.channel} }

// point shows a pointer, with a number that is far beyond any of the controller, and a time to go with it.
func (th thief) point(key string, epoch int64, to bundle.Target) {
	t := th.f.t
	t.Helper()
	th.f.stolen++
	data, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := trust.LoadSigner(data)
	if err != nil {
		t.Fatal(err)
	}
	p := bundle.Pointer{Fleet: "acme", Channel: channel, Epoch: epoch, Seq: 1<<60 + th.f.stolen, Issued: time.Now().AddDate(50, 0, 0), Expires: time.Now().AddDate(60, 0, 0), Stable: to}
	signature, err := signer.SignPointer(t.Context(), p)
	if err == nil {
		err = trust.PublishPointer(t.Context(), th.f.store, p, [][]byte{signature})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// build puts a bundle of the thief's own into the registry, signed with the stolen key.
func (th thief) build(words string) bundle.Target {
	t := th.f.t
	t.Helper()
	repo := gitsourcetest.New(t)
	repo.Put(policy(words)).Commit(words)
	digest := programs.Run(t, registryUser(), "vigo", "build", repo.Dir, "--rev", "main", "--key", th.bundle, "--plain-http", "-o", th.f.registry+"/"+repository+":"+words)
	d, err := th.f.store.Resolve(t.Context(), words)
	if err != nil || d.Digest != digest {
		t.Fatalf("%s, %v, want %s", d.Digest, err, digest)
	}
	return bundle.Target{Digest: d.Digest, Size: d.Size}
}

// TestRehearsal goes through the life of a fleet's keys. The nodes that are cut off meanwhile go on with what they have;
// when they come back they end where the others are. None goes back.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.start(f.commit("first"))
	f.enrol()
	f.cycle(0, nodes)
	f.want(0, nodes, "first")
	first := f.current()
	second := f.commit("second")
	f.await(second)
	f.cycle(0, nodes)
	f.want(0, nodes, "second")

	// Planned: an owner leaves and another comes; then the keys of the controller are changed. Two roots, no gap.
	f.key("dan")
	f.replace([]string{"ada", "ben", "dan"}, []string{"rotate", "root", "--old", f.path("cleo.pub"), "--to", f.path("dan.pub")})
	f.start(second)
	f.connected()
	f.cutOff()
	f.want(0, nodes, "second")
	f.replace([]string{"dan", "ada"}, f.changeKeys(trust.RoleBundle, trust.RoleAnyChannel)...)
	third := f.commit("third")
	f.start(third)
	f.connected()
	f.cutOff()
	f.want(0, nodes-away, "third")
	f.want(nodes-away, nodes, "second")
	old := f.current()
	f.await(f.commit("fourth"))

	// The channel key is stolen. With it an old bundle can be brought back, under numbers that nothing comes after, unless
	// the key that signed it has gone.
	one := f.steal()
	one.point(one.channel, f.version, old)
	f.connected()
	f.want(0, nodes-away, "third")
	one.point(one.channel, f.version, first)
	f.connected()
	f.want(0, nodes-away, "third")
	f.cutOff()
	f.want(nodes-away, nodes, "second")
	f.recover("fifth", []thief{one}, old, trust.RoleAnyChannel)

	// Both keys of the controller are stolen: the thief runs what they like where the registry is in reach.
	two := f.steal()
	evil := two.build("evil")
	two.point(two.channel, f.version, evil)
	f.connected()
	f.want(0, nodes-away, "evil")
	f.cutOff()
	f.want(nodes-away, nodes, "second")
	f.recover("sixth", []thief{one, two}, evil, trust.RoleBundle, trust.RoleAnyChannel)

	// Those that were away come back, all these roots later.
	for range 2 {
		f.cycle(0, nodes)
		f.want(0, nodes, "sixth")
	}
	f.up.Stop(t)
	for n := nodes - away; n < nodes; n++ {
		for _, words := range f.seen[n] {
			if words == "evil" || words == "third" {
				t.Errorf("node %d, which was away, has had %q", n, f.seen[n])
			}
		}
	}
}

// recover publishes words under a root with new keys for roles, while the thieves go on. No node in reach takes up anything
// of theirs any more; those that are cut off stay as they were.
func (f *fleet) recover(words string, thieves []thief, theirs bundle.Target, roles ...string) {
	f.t.Helper()
	f.replace([]string{"ada", "dan"}, f.changeKeys(roles...)...)
	commit := f.commit(words)
	f.start(commit)
	f.connected()
	f.want(0, nodes-away, words)
	for _, th := range thieves {
		for _, epoch := range []int64{f.version - 1, f.version} {
			th.point(th.channel, epoch, theirs)
			f.connected()
			f.want(0, nodes-away, words)
		}
	}
	f.cutOff()
	f.want(nodes-away, nodes, "second")
	f.up.Stop(f.t)
	f.start(commit) // what the thieves have put over the pointer is put right
}
