package fleetsim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/bundle/bundletest"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/rollout/sim"
	"vigo.dev/pkg/trust"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// origin is a registry with a pointer, and who follows it.
type origin struct {
	t     *testing.T
	store *bundletest.Memory
	key   *trust.Signer
	said  []string
	*followed
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{t: t, store: bundletest.NewMemory()}
	o.followed = &followed{channel: "stable", fleet: "lab", src: o.store, now: func() time.Time { return noon },
		say: func(format string, args ...any) { o.said = append(o.said, fmt.Sprintf(format, args...)) }}
	var err error
	o.key, err = trust.NewKey()
	must(t, err)
	o.root.Version = 1
	o.root.Grant(trust.RoleChannel("stable"), 1, trust.Key{Public: o.key.Public()})
	return o
}

// put publishes a pointer at the tag of the channel, whatever was there.
func (o *origin) put(key *trust.Signer, seq int64, edit func(*bundle.Pointer)) {
	o.t.Helper()
	p := bundle.Pointer{Fleet: "lab", Channel: "stable", Epoch: 1, Seq: seq, Issued: noon, Expires: noon.Add(time.Hour), Stable: bundle.Target{Digest: digest("one"), Size: 1}}
	if edit != nil {
		edit(&p)
	}
	signature, err := key.SignPointer(o.t.Context(), p)
	must(o.t, err)
	must(o.t, trust.PublishPointer(o.t.Context(), o.store, p, [][]byte{signature}))
	moving, fixed := p.Tags()
	d, err := o.store.Resolve(o.t.Context(), fixed)
	must(o.t, err)
	must(o.t, o.store.Tag(o.t.Context(), d, moving))
}

func digest(of string) string { return bundle.DigestOf([]byte(of)) }

// Nodes see a pointer that is newer and verifies. Anything else leaves them as they are, and is counted and told once.
func TestFollow(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	look := func(seq, reads, unread int64) {
		t.Helper()
		o.look(t.Context())
		got := int64(0)
		if p := o.pointer.Load(); p != nil {
			got = p.Seq
		}
		if got != seq || o.reads.Load() != reads || o.unread.Load() != unread {
			t.Fatalf("pointer %d, %d read, %d not; want %d, %d, %d; it says %q", got, o.reads.Load(), o.unread.Load(), seq, reads, unread, o.said)
		}
	}
	look(0, 0, 0) // nothing was published
	o.put(o.key, 1, nil)
	look(1, 1, 0)
	look(1, 1, 0)
	o.put(o.key, 3, nil)
	look(3, 2, 0)
	o.put(o.key, 2, nil) // somebody has put an old one there
	look(3, 2, 1)
	stranger, err := trust.NewKey()
	must(t, err)
	o.put(stranger, 4, nil)
	look(3, 2, 2)
	o.store.Fail(errors.New("no route to host"))
	look(3, 2, 3)
	o.store.Fail(nil)
	o.put(o.key, 5, nil)
	look(5, 3, 3)
	if len(o.said) != 1 {
		t.Errorf("it says %q", o.said)
	}
}

// TestFates: a node decides by the pointer and its labels, as agents do. One that dies with a candidate announces it, and one that is
// cut off or off says nothing.
func TestFates(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	now := noon
	s := &Sim{Config: Config{Interval: 30 * time.Second, Now: func() time.Time { return now }}}
	made := func(r sim.Rates, stage string) *node {
		s.Fates.Rates = r
		n := &node{name: "bench-000001", channel: "stable", follows: o.followed}
		n.note.Digest = "before"
		n.agent = s.agentOf(n, map[string]string{"stage": stage})
		return n
	}
	says := func(what string, n *node, want ...sim.Says) {
		t.Helper()
		if got := s.decided(n); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: it says %+v, want %+v", what, got, want)
		}
	}
	says("nothing is published", made(sim.Rates{}, ""), sim.Says{Bundle: "before"})
	o.put(o.key, 1, nil)
	o.look(t.Context())
	one, two := digest("one"), digest("two")
	canary, other, dies, off := made(sim.Rates{}, "trial"), made(sim.Rates{}, "prod"), made(sim.Rates{Lose: 1}, "trial"), made(sim.Rates{Offline: 1}, "trial")
	says("a node", canary, sim.Says{Bundle: one})
	if canary.note.Pointer != "1.1" || !off.lapsed || off.agent == nil || canary.lapsed {
		t.Errorf("its pointer is %s", canary.note.Pointer)
	}
	o.put(o.key, 2, func(p *bundle.Pointer) {
		p.Candidate = &bundle.Target{Digest: two, Size: 1}
		p.Rollout = &rollout.Directive{ID: "r", Salt: two, Admit: []rollout.Admit{{Stage: "canary", When: `stage == "trial"`, Max: rollout.Everyone}}}
	})
	o.look(t.Context())
	s.Fates.Cuts = []sim.Outage{{After: time.Minute, For: time.Minute, Share: 1}}
	s.started.Store(&noon)
	now = noon.Add(time.Minute)
	says("while it is cut off", canary)
	if now = noon.Add(2 * time.Minute); !canary.lapsed {
		t.Error("whether it is called silent says nothing")
	}
	says("a canary", canary, sim.Says{Bundle: one, Adopting: two}, sim.Says{Bundle: two})
	says("a canary later", canary, sim.Says{Bundle: two})
	says("another", other, sim.Says{Bundle: one})
	says("one that dies", dies, sim.Says{Bundle: one, Adopting: two})
	says("one that is dead", dies)
	says("one that is off", off)
	if got := s.quiet.Load(); got != 2 {
		t.Errorf("%d are known to be quiet, want the dead and the one that is off", got)
	}
}

// Labels follow from the seed and the name, in the shares that were asked for.
func TestLabels(t *testing.T) {
	t.Parallel()
	shares := []sim.LabelShare{{Name: "stage", Value: "trial", Share: .1}, {Name: "stage", Value: "prod", Share: 1}, {Name: "site", Value: "plant", Share: .5}}
	counts := map[string]int{}
	for i := range 2000 {
		for name, value := range sim.LabelsOf(shares, 7, fmt.Sprintf("bench-%06d", i)) {
			counts[name+"="+value]++
		}
	}
	if counts["stage=trial"]+counts["stage=prod"] != 2000 || counts["stage=trial"] < 150 || counts["stage=trial"] > 250 || counts["site=plant"] < 900 || counts["site=plant"] > 1100 {
		t.Errorf("%v", counts)
	}
}
