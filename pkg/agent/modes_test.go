package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trust"
)

// modal is a policy that has the mode failover, with a module that only this mode takes.
func modal(on bool) map[string]string {
	state := "false"
	if on {
		state = "true"
	}
	return map[string]string{
		"fleet.yaml":                   "kind: Fleet\nname: lab\nchannels:\n  main: {nodes: role == \"web\"}\nlabels: [role]\nmodes: {failover: " + state + "}\n",
		"roles/failover.yaml":          "kind: Role\nwhen: mode.failover\nmodules: [takeover]\n",
		"modules/takeover/module.yaml": "kind: Module\nresources:\n  - file: /etc/issue\n    content: \"taken over\\n\"\n",
		"modules/motd/module.yaml":     "kind: Module\nresources:\n  - file: /etc/motd\n    content: \"{{ if .mode.failover }}crisis{{ else }}quiet{{ end }}\\n\"\n",
	}
}

// letOrder lists two people who order modes of channel main.
func (r *rig) letOrder(threshold int) people {
	r.t.Helper()
	p := people{newKey(r.t), newKey(r.t)}
	for _, key := range p {
		r.keys.root.Grant(trust.RoleModes("main"), threshold, trust.Key{Public: key.Public()})
	}
	r.pin()
	return p
}

// order signs an order that was given over a pointer.
func (r *rig) order(built bundle.Built, at int64, modes map[string]bool, by ...*trust.Signer) (all [][]byte) {
	r.t.Helper()
	for _, key := range by {
		raw, err := key.Order(r.t.Context(), trust.Order{Fleet: "lab", Channel: "main", Modes: modes, Given: r.now,
			From: trust.Base{Epoch: r.keys.root.Version, Seq: at, Digest: built.Descriptor.Digest}})
		if err != nil {
			r.t.Fatal(err)
		}
		all = append(all, raw)
	}
	return all
}

// carry points to a bundle with modes and an order.
func (r *rig) carry(built bundle.Built, modes map[string]bool, order [][]byte) {
	r.t.Helper()
	p := r.pointer(built.Descriptor)
	p.Modes, p.Order = modes, order
	r.point(p, r.keys.channel)
}

var failover = map[string]bool{"failover": true}

// TestAModeInThePointerIsObeyedAtOnce: that of a commit whose bundle is not this node's yet, where the root asks nobody.
func TestAModeInThePointerIsObeyedAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	built := r.publish(motdPolicy("", modal(false)))
	a := r.start()
	r.once(a)
	r.wantMotd("quiet")
	r.carry(built, map[string]bool{"failover": true, "nobody knows it": true}, nil)
	r.once(a)
	r.wantMotd("crisis")
	r.once(r.start())
	r.wantMotd("crisis")
	r.carry(built, nil, nil)
	r.once(r.start())
	r.wantMotd("quiet")
	r.wantNoRefusals()
}

// TestWhereTheRootAsksPeopleTheChannelKeyFlipsNothing, be they to approve bundles or to order modes.
func TestWhereTheRootAsksPeopleTheChannelKeyFlipsNothing(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*rig) people{
		"to approve": func(r *rig) people { return r.ask(1) },
		"to order":   func(r *rig) people { return r.letOrder(2) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			p := ask(r)
			built := r.publish(motdPolicy("", modal(false)))
			if name == "to approve" {
				r.approve(built, 0, p[:]...)
			}
			r.once(r.start())
			r.carry(built, failover, nil)
			r.once(r.start())
			r.wantMotd("quiet")
		})
	}
}

// TestAnOrderIsObeyed until another one is given, also when it is left out of the pointer, after a restart and offline.
func TestAnOrderIsObeyed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.letOrder(2)
	built := r.publish(motdPolicy("", modal(false)))
	a := r.start()
	r.once(a)
	r.wantMotd("quiet")
	on := r.order(built, r.seq, failover, p[0], p[1])
	r.carry(built, nil, on[:1])
	r.once(a)
	r.wantMotd("quiet")
	r.wantRefusal(bundle.Threshold)
	r.carry(built, nil, on)
	r.once(a)
	r.wantMotd("crisis")
	r.wantNoRefusals()
	st, err := ReadStatus(r.state.dir)
	if err != nil || !maps.Equal(st.Ordered, failover) {
		t.Errorf("the status says %v, %v", st.Ordered, err)
	}
	r.carry(built, nil, nil) // a thief of the key of the channel leaves it out
	r.once(r.start())
	r.wantMotd("crisis")
	r.origin.cut(true)
	if _, err := r.start().Once(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.wantMotd("crisis")
	r.origin.cut(false)
	r.carry(built, nil, r.order(built, r.seq, nil, p[:]...))
	r.once(r.start())
	r.wantMotd("quiet")
	r.carry(built, nil, on) // and brings the earlier one back
	r.once(r.start())
	r.wantMotd("quiet")
	r.wantRefusal(bundle.Rollback)
}

// TestAnOrderOfKeysThatAreNotTrustedAnyMoreIsOver.
func TestAnOrderOfKeysThatAreNotTrustedAnyMoreIsOver(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.letOrder(1)
	built := r.publish(motdPolicy("", modal(false)))
	r.once(r.start())
	on := r.order(built, r.seq, failover, p[0])
	r.carry(built, nil, on)
	r.once(r.start())
	r.wantMotd("crisis")
	r.succeed(func(root *trust.Root) { root.Withdraw(trust.RoleModes("main"), p[0].Public().ID()) })
	r.sign(built.Descriptor, r.keys.bundle)
	r.carry(built, nil, on)
	r.now = r.now.Add(2 * rootInterval)
	r.once(r.start())
	r.wantMotd("quiet")
}

// sieve is a registry that has lost all but a few contents.
type sieve struct {
	bundle.Source
	left []string // digests
}

func (s *sieve) Open(ctx context.Context, d bundle.Descriptor) (io.ReadCloser, error) {
	if !slices.Contains(s.left, d.Digest) {
		return nil, errCut
	}
	return s.Source.Open(ctx, d)
}

// TestWhatAModeTakesIsThereBefore: all but the pointer is gone when the mode is flipped, and the module that only it takes is
// applied.
func TestWhatAModeTakesIsThereBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	built := r.publish(motdPolicy("", modal(false)))
	a := r.start()
	r.once(a)
	if doc := said(t, a); doc.Modes == nil || len(doc.Modes)+len(doc.Unready) != 0 {
		t.Errorf("it says %+v", doc)
	}
	r.carry(built, failover, nil)
	a = r.start(func(c *Config) {
		var err error
		if c.Origin, err = ocistore.Cached(&sieve{r.origin, r.shown}, r.state.Path(cacheDir), r.clock); err != nil {
			t.Fatal(err)
		}
	})
	if run := r.once(a); run.Counts.Changed != 2 {
		t.Errorf("%+v\n%s", run, r.logged)
	}
	if doc := said(t, a); !slices.Equal(doc.Modes, []string{"failover"}) || len(doc.Unready) > 0 {
		t.Errorf("it says %+v", doc)
	}
	if facet := r.service.last(t).Facets[aboutAgent]; facet == "" {
		t.Error("it does not tell the service")
	}
}

// TestWhatModesTakeTogetherIsThereBefore, although none of them takes it alone: all are flipped at once, with nothing but the pointer there.
func TestWhatModesTakeTogetherIsThereBefore(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{{"contained", "failover"}, {"contained", "failover", "night"}} {
		t.Run(fmt.Sprint(len(names)), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			flip := map[string]bool{}
			for _, name := range names {
				flip[name] = true
			}
			files := modal(false)
			files["fleet.yaml"] = strings.Replace(files["fleet.yaml"], "{failover: false}", "{"+strings.Join(names, ": false, ")+": false}", 1)
			files["roles/failover.yaml"] = "kind: Role\nwhen: mode." + strings.Join(names, " && mode.") + "\nmodules: [takeover]\n"
			built := r.publish(motdPolicy("", files))
			r.once(r.start())
			r.carry(built, flip, nil)
			a := r.start(func(c *Config) {
				var err error
				if c.Origin, err = ocistore.Cached(&sieve{r.origin, r.shown}, r.state.Path(cacheDir), r.clock); err != nil {
					t.Fatal(err)
				}
			})
			if run := r.once(a); run.Counts.Changed != 2 {
				t.Errorf("%+v\n%s", run, r.logged)
			}
			if doc := said(t, a); !slices.Equal(doc.Modes, names) || len(doc.Unready) > 0 {
				t.Errorf("it says %+v", doc)
			}
		})
	}
}

// TestCombinedModes: all combinations of a few modes are looked at, each once, and of many no more than can be in a cycle.
func TestCombinedModes(t *testing.T) {
	t.Parallel()
	if got := fmt.Sprint(combined([]string{"a", "b", "c"})); got != "[[a b] [a c] [b c] [a b c]]" {
		t.Error(got)
	}
	for n, want := range map[int]int{0: 0, 1: 0, 2: 1, 7: 120, 8: 28 + 56 + 70, 10: 45 + 120, 20: 190, 21: 0, 500: 0} {
		names, seen := make([]string, n), map[string]bool{}
		for i := range names {
			names[i] = fmt.Sprintf("%03d", i)
		}
		for _, some := range combined(names) {
			seen[fmt.Sprint(some)] = true
		}
		if got := combined(names); len(got) != want || len(seen) != want {
			t.Errorf("of %d modes: %d combinations, %d of them differ, want %d", n, len(got), len(seen), want)
		}
	}
}

// TestAModeThatCannotBeIsKnownBefore: on this node, it does not compile.
func TestAModeThatCannotBeIsKnownBefore(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	files := modal(false)
	files["modules/takeover/module.yaml"] = "kind: Module\nresources:\n  - file: /etc/motd\n    content: \"mine\\n\"\n"
	r.publish(motdPolicy("", files))
	a := r.start()
	r.once(a)
	r.wantMotd("quiet")
	if doc := said(t, a); !slices.Equal(doc.Unready, []string{"failover"}) {
		t.Errorf("it says %+v", doc)
	}
}

// said is what the node tells of modes.
func said(t *testing.T, a *Agent) (doc modeDoc) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	_, facets := a.tells()
	if err := json.Unmarshal(facets[aboutAgent].Doc, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}
