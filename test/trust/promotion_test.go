package trust

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/trust"
	"vigo.dev/test/programs"
)

// desk are the flags of the commands with which people agree.
func (f *fleet) desk() []string {
	return []string{"--registry", f.registry + "/" + repository, "--trust-root", f.path("data/keys/root.json"), "--plain-http"}
}

// promote asks that the channel be given a commit, as soon as there is a bundle of it.
func (f *fleet) promote(commit, by string) {
	f.t.Helper()
	f.until("a bundle of commit "+commit, func() error {
		_, err := f.store.Resolve(f.t.Context(), controller.BundleTag(commit))
		return err
	})
	programs.Run(f.t, registryUser(), "vigo", append([]string{"promote", commit, "--to", channel, "--key", f.path(by + ".key")}, f.desk()...)...)
}

// until waits for something in the registry, which is looked for whenever something was put there.
func (f *fleet) until(what string, there func() error) {
	f.t.Helper()
	late := time.After(programs.Patience)
	for {
		err := there()
		switch {
		case err == nil:
			return
		case !errors.Is(err, bundle.ErrNotFound) && !errors.As(err, new(*trust.Refusal)):
			f.t.Fatal(err)
		}
		select {
		case <-f.moved:
		case <-late:
			f.t.Fatalf("%s did not come in time: %v", what, err)
		}
	}
}

// approve approves what is asked for the channel, as soon as it is signed with the key in force.
func (f *fleet) approve(by string) {
	f.t.Helper()
	r, _, err := trust.OpenRequest(f.t.Context(), f.store, "acme", channel)
	if err != nil {
		f.t.Fatal(err)
	}
	d := bundle.Descriptor{MediaType: bundle.ManifestMediaType, Digest: r.Bundle.Digest, Size: r.Bundle.Size}
	f.until("a signature", func() error { return trust.NewVerifier(f.root(), time.Now).Signature(f.t.Context(), f.store, d) })
	programs.Run(f.t, registryUser(), "vigo", append([]string{"approve", channel, "--digest", r.Bundle.Digest, "--key", f.path(by + ".key")}, f.desk()...)...)
}

// refused fails unless a node says that it has refused something by a name.
func (f *fleet) refused(n int, name string) {
	f.t.Helper()
	out, err := programs.Command(f.t, nil, "vigo-agent", "run", "--once", "--root", f.node(n)).CombinedOutput()
	if !strings.Contains(string(out), "refused ("+name+")") {
		f.t.Errorf("node %d refused nothing as %q: %v\n%s", n, name, err, out)
	}
}

// TestPeopleHoldAChannel: two people have to agree on what the nodes are given. The controller waits for both, and whoever
// has all of its keys gets no further than one of them lets them.
func TestPeopleHoldAChannel(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	first := f.commit("first")
	f.start(first)
	f.enrol()
	f.cycle(0, nodes)
	f.want(0, nodes, "first")

	// From now on lea and max are asked. They stand for what runs.
	f.replace([]string{"ada", "ben"},
		[]string{"add-key", trust.RoleApproval(channel), f.key("lea") + ".pub"},
		[]string{"add-key", trust.RoleApproval(channel), f.key("max") + ".pub", "--threshold", "2"})
	f.promote(first, "lea")
	f.approve("max")
	f.start(first)
	f.cycle(0, nodes)
	f.want(0, nodes, "first")

	// One of two: the controller does not publish it.
	second := f.commit("second")
	f.promote(second, "lea")
	if out, err := programs.Command(t, registryUser(), "vigo", append([]string{"approve", channel}, f.desk()...)...).CombinedOutput(); err == nil || !strings.Contains(string(out), "1 of 2") {
		t.Errorf("%v\n%s", err, out)
	}
	f.connected()
	f.want(0, nodes-away, "first")
	if p, err := f.pointer(); err != nil || p.Stable.Commit != first {
		t.Errorf("the channel names %+v, %v", p.Stable, err)
	}

	// A thief with the keys of the controller publishes it, and then something of their own: the nodes count for themselves.
	th := f.steal()
	d, err := f.store.Resolve(t.Context(), controller.BundleTag(second))
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []bundle.Target{{Digest: d.Digest, Size: d.Size}, th.build("evil")} {
		th.point(th.channel, f.version, to)
		f.connected()
		f.want(0, nodes-away, "first")
		f.refused(0, bundle.Approvals)
	}

	// The keys are replaced, max approves, and all nodes go on, those too that were away.
	f.replace([]string{"ada", "ben"}, f.changeKeys(trust.RoleBundle, trust.RoleAnyChannel)...)
	f.run()
	f.approve("max")
	f.await(second)
	f.connected()
	f.cutOff()
	f.want(0, nodes-away, "second")
	f.want(nodes-away, nodes, "first")
	f.cycle(0, nodes)
	f.want(0, nodes, "second")

	// What people have moved on from does not come back by their old word, whoever says so.
	again := f.steal()
	if d, err = f.store.Resolve(t.Context(), controller.BundleTag(first)); err != nil {
		t.Fatal(err)
	}
	resign(t, f, again, d)
	again.point(again.channel, f.version, bundle.Target{Digest: d.Digest, Size: d.Size})
	f.connected()
	f.want(0, nodes-away, "second")
	f.refused(0, bundle.Approvals)
	f.up.Stop(t)
}

// resign signs an old bundle with the newest stolen key.
func resign(t *testing.T, f *fleet, th thief, d bundle.Descriptor) {
	t.Helper()
	data, err := os.ReadFile(th.bundle)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := trust.LoadSigner(data)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.SignManifest(t.Context(), d)
	if err == nil {
		_, err = trust.Attach(t.Context(), f.store, d, signature, time.Now())
	}
	if err != nil {
		t.Fatal(err)
	}
}
