package attack

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/test/programs"
)

// An attack is made on a node that runs a good policy.
type attack struct {
	name  string // of the attack, and so of the node: no two are the same
	holds string // what the attacker has
	does  string // and does with it
	want  string // the name of the refusal
	on    string // the channel of the node; stable if empty
	two   bool   // the fleet asks for two signatures on a bundle
	make  func(*node)
}

// contentAttacks are those on what a node pulls.
func contentAttacks() []attack {
	return slices.Concat(pointerAttacks(), signatureAttacks(), approvalAttacks(), layerAttacks(), wireAttacks())
}

func TestContent(t *testing.T) {
	t.Parallel()
	one, two := newFleet(t, 1), newFleet(t, 2)
	for _, a := range contentAttacks() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			f, on := one, channel
			if a.two {
				f = two
			}
			if a.on != "" {
				on = a.on
			}
			n := f.join(t, a.name, on)
			before := n.outside()
			a.make(n)
			n.run()
			if got := n.outside(); !maps.Equal(before, got) {
				t.Errorf("the host was changed; it says %q", n.motd())
			}
			n.wantRefused(a.want)

			// It is no worse for it: drift is repaired, and what is good is taken.
			n.drift()
			n.run()
			if got := n.motd(); got != "good" {
				t.Errorf("the last good policy is not enforced: the host says %q", got)
			}
			n.withdraw()
			n.publish("better")
			n.run()
			if got := n.motd(); got != "better" {
				t.Errorf("what is good is not taken afterwards: the host says %q", got)
			}
			n.wantEvent("node.settled", "")
		})
	}
}

// wantRefused fails unless a refusal of this name, and no other, is told in `vigo status` and as an event.
func (n *node) wantRefused(name string) {
	n.t.Helper()
	var told []string
	for _, p := range n.status(n.t).Problems {
		if p.Node == n.name && p.Kind == "refused" {
			told = append(told, p.Text)
		}
	}
	if len(told) != 1 || !strings.HasPrefix(told[0], name+": ") {
		n.t.Errorf("vigo status tells %q, want %q", told, name)
	}
	n.wantEvent("node.refused", name+": ")
}

// wantEvent fails unless there is one event of a kind, whose text begins like this. Events are written in batches: it may come
// a moment later.
func (n *node) wantEvent(kind, text string) {
	n.t.Helper()
	deadline := time.Now().Add(programs.Patience)
	for {
		events := n.eventsOf(kind)
		if len(events) == 1 && strings.HasPrefix(events[0].Text, text) {
			return
		}
		if len(events) > 1 || time.Now().After(deadline) {
			n.t.Fatalf("the events are %+v, want one %s of %q", events, kind, text)
		}
		time.Sleep(300 * time.Millisecond) // the operator may ask only so often
	}
}

func (n *node) eventsOf(kind string) []report.Event {
	n.t.Helper()
	return slices.DeleteFunc(n.events(n.t, kind), func(e report.Event) bool { return e.Node != n.name })
}
