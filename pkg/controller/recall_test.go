package controller

import (
	"os"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/fault"
)

// withMarks starts a controller that somebody tells where the channels stood.
func (r *rig) withMarks(marks map[string]Mark) {
	r.t.Helper()
	r.marks = marks
	r.start()
}

// TestLostStateAndRegistry is a machine that is lost with all but the keys and what the report service was told: the numbers that
// nodes have seen, known or not, are not used again.
func TestLostStateAndRegistry(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.repo.Commit("one")
	r.withMarks(map[string]Mark{"staging": {Epoch: r.keys.Epoch(), Seq: 41, Issued: r.now.Add(-time.Hour)}})
	r.step()
	if p := r.pointer("staging"); p.Seq != 41+1+3600 || p.Epoch != r.keys.Epoch() || p.Stable.Commit != first {
		t.Errorf("published %s, commit %s", p.Version(), p.Stable.Commit)
	}
	if p := r.pointer("production"); p.Seq != 1 {
		t.Errorf("nobody knew of the channel, and its first pointer is %s", p.Version())
	}
	if !strings.Contains(r.log.String(), "known=1.41 pointer=1.3642") {
		t.Errorf("the log does not say so:\n%s", &r.log)
	}
	r.repo.Put(map[string]string{"motd": "two"}).Commit("two")
	r.step()
	if p := r.pointer("staging"); p.Seq != 3643 {
		t.Errorf("the next one is %s", p.Version())
	}
}

// TestMarksAreKeptFromTheStart holds what the report service knew at the first start, which it may have forgotten by the time
// that the controller can publish.
func TestMarksAreKeptFromTheStart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Put(map[string]string{"broken": "yes"}).Commit("one")
	r.withMarks(map[string]Mark{"staging": {Epoch: r.keys.Epoch(), Seq: 41, Issued: r.now}})
	_ = r.c.Step(t.Context()) // whatever comes of it
	r.withMarks(nil)
	if m := r.c.state.Marks["staging"]; m.Seq != 41 {
		t.Errorf("after a restart the mark is %+v", m)
	}
}

// TestMarksOfAnotherRoot: the first pointer under a newer root is the first; keys of an older root sign nothing.
func TestMarksOfAnotherRoot(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	r.withMarks(map[string]Mark{"staging": {Epoch: r.keys.Epoch() - 1, Seq: 41, Issued: r.now}, "production": {Epoch: r.keys.Epoch() + 1, Seq: 1, Issued: r.now}})
	err := r.c.Step(t.Context())
	if err == nil || !strings.Contains(err.Error(), "channel production: the channel was published under root 2, and the keys are those of root 1") {
		t.Errorf("got %v", err)
	}
	if hints := fault.Hints(err); len(hints) != 1 || !strings.HasPrefix(hints[0], "put back the newest backup of the folder keys") {
		t.Errorf("the hints are %q", hints)
	}
	if p := r.pointer("staging"); p.Seq != 1 {
		t.Errorf("the first pointer of an epoch is %s", p.Version())
	}
}

// TestMarksDoNotMatterToWhoRemembers is a restart of a controller that has its state, and one that has the registry.
func TestMarksDoNotMatterToWhoRemembers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.repo.Commit("one")
	r.start()
	r.step()
	far := map[string]Mark{"staging": {Epoch: r.keys.Epoch(), Seq: 500, Issued: r.now}}
	r.withMarks(far)
	r.step()
	if len(r.c.state.Marks) > 0 || r.pointer("staging").Seq != 1 {
		t.Errorf("with its state it took up %v and published %s", r.c.state.Marks, r.pointer("staging").Version())
	}
	if err := os.Remove(r.data + "/" + stateName); err != nil {
		t.Fatal(err)
	}
	r.withMarks(far)
	r.step()
	if p := r.pointer("staging"); p.Seq != 1 {
		t.Errorf("with the registry it published %s", p.Version())
	}
}
