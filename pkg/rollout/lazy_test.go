package rollout_test

import (
	"maps"
	"reflect"

	"vigo.dev/pkg/rollout"
)

// A lazy service writes down what it remembers of a node only when that is not the same as before, and is now and then started
// again with what is written.
type lazy struct {
	state  rollout.State
	stored map[string]rollout.Progress
}

func (l *lazy) begin(s rollout.State) {
	l.state, l.stored = s, maps.Clone(s.Nodes)
}

// step does what the other service did with the same input; again: it is started again before.
func (l *lazy) step(w *world, in rollout.Snapshot, commands []rollout.Command, again bool) {
	if again {
		head := restarted(w.t, l.state)
		head.Nodes = maps.Clone(l.stored)
		l.state = head
	}
	l.state, _ = rollout.Step(l.state, in, commands)
	for id, p := range l.state.Nodes {
		if was, ok := l.stored[id]; !ok || !p.Same(was) {
			l.stored[id] = p
		}
	}
	maps.DeleteFunc(l.stored, func(id string, _ rollout.Progress) bool { _, here := l.state.Nodes[id]; return !here })
	a, b := l.state, w.state
	if a.Phase != b.Phase || a.Reason != b.Reason || a.Stage != b.Stage || !maps.Equal(a.Counts, b.Counts) || !reflect.DeepEqual(a.Signed(), b.Signed()) {
		w.fail("%s: a service that was started again says %s (%s) at stage %d: %v, the other %s (%s) at stage %d: %v", w.now,
			a.Phase, a.Reason, a.Stage, a.Counts, b.Phase, b.Reason, b.Stage, b.Counts)
	}
}
