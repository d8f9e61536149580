package rollout_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

const (
	interval = 30 * time.Second
	tick     = 15 * time.Second
)

var epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// A world is a small fleet that does at random what fleets do, and checks after each step what must always be true.
type world struct {
	t      testing.TB
	seed   uint64
	rand   *rand.Rand
	now    time.Time
	state  rollout.State
	signed rollout.Signed // the pointer
	nodes  []*machine
	made   int // bundles
	born   int // nodes
	calm   bool
	dark   time.Time // until when nobody is heard
	unsure time.Time // until when the check cannot be looked at
	said   []rollout.Answer
	inputs []input
	from   rollout.State
	lazy   lazy
}

type input struct {
	snapshot rollout.Snapshot
	commands []rollout.Command
}

// A machine is a node as it is, whatever the service knows of it.
type machine struct {
	id       string
	stages   uint32
	digest   string
	adopting string
	off      time.Time // until when it is off
	dead     bool
	fails    bool      // with the candidate
	dies     bool      // when it has the candidate
	refuses  bool      // puts it aside
	bad      bool      // its check does not hold
	held     time.Time // until when the window of one of its resources is closed
	pinned   bool
	muted    bool
	seen     time.Time
	said     rollout.Node
	aside    []string
	boot     int
	runs     int
	shown    int    // boot of the last run
	wellWith string // truth: the candidate it last reported of without a failure
}

func bundle(n int) string { return fmt.Sprintf("sha256:%04d", n) }

func numberOf(digest string) (n int) {
	if _, err := fmt.Sscanf(digest, "sha256:%d", &n); err != nil {
		return -1
	}
	return n
}

func newWorld(t testing.TB, seed uint64, calm bool) *world {
	w := &world{t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), now: epoch, made: 1, calm: calm}
	for range 1 + w.rand.IntN(12) {
		w.add()
	}
	spec := w.spec()
	if err := spec.Validate(); err != nil {
		t.Fatal(err)
	}
	w.begin(spec, nil)
	return w
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d: "+format, append([]any{w.seed}, args...)...)
}

func (w *world) chance(p float64) bool { return w.rand.Float64() < p }

func (w *world) add() {
	m := &machine{id: fmt.Sprintf("n%d", w.born), stages: 0b100, digest: bundle(0), seen: w.now}
	for bit := range 2 {
		if w.chance(0.5) {
			m.stages |= 1 << bit
		}
	}
	m.fails, m.dies, m.refuses, m.bad = w.chance(0.1), w.chance(0.05), w.chance(0.05), w.chance(0.05)
	if w.chance(0.1) {
		m.held = w.now.Add(time.Duration(w.rand.IntN(40)) * time.Minute)
	}
	if w.chance(0.2) {
		m.off = w.now.Add(time.Duration(w.rand.IntN(40)) * time.Minute)
		m.seen = w.now.Add(-time.Hour)
	}
	w.nodes = append(w.nodes, m)
	w.born++
	w.report(m)
}

func (w *world) spec() rollout.Spec {
	gate := rollout.Gate{Soak: time.Minute, Checkins: 1 + w.rand.IntN(2), Success: []float64{50, 90, 100}[w.rand.IntN(3)]}
	s := rollout.Spec{
		Channel: "stable", Deadline: 20 * time.Minute,
		Stages: []rollout.Stage{
			{Name: "canary", When: "a", Size: rollout.Share{Percent: 20}, Gate: gate},
			{Name: "early", When: "b", Size: rollout.Share{Percent: 50}, Gate: gate},
			{Name: "rest", Size: rollout.Share{Percent: 100}, Gate: gate},
		},
		Checks: []rollout.Check{{Name: "serves", Expr: "serves", For: 2}},
		Abort:  rollout.Abort{Failed: rollout.Limit{Percent: 30, Min: 1 + w.rand.IntN(2)}, Lost: rollout.Limit{Percent: 30, Min: 1 + w.rand.IntN(2)}},
	}
	if w.chance(0.3) {
		s.MaxInFlight = rollout.Share{Percent: 25}
	}
	if w.chance(0.3) {
		s.OnAbort = rollout.Revert
	}
	if w.chance(0.2) {
		s.Stages[1].Approve = rollout.Approve{Count: 1}
	}
	if w.chance(0.1) {
		s.Immediate = true
	}
	w.gates(&s)
	s.Supersede = []rollout.Supersede{rollout.Restart, rollout.FinishStage, rollout.Queue}[w.rand.IntN(3)]
	return s.WithDefaults()
}

func (w *world) begin(spec rollout.Spec, prev *rollout.State) {
	stable := bundle(0)
	if prev != nil {
		stable = prev.Signed().Stable
	}
	w.state = rollout.Begin(fmt.Sprintf("r%d", w.made), spec, stable, bundle(w.made), prev, w.now)
	w.from, w.inputs = w.state, nil
	w.lazy.begin(w.state)
	w.publish()
}

// publish gives the nodes a new pointer; what it says must be lawful after the one before.
func (w *world) publish() {
	next := w.state.Signed()
	if w.signed.Stable != "" {
		if err := rollout.Lawful(w.signed, next, bundle(w.made)); err != nil {
			w.fail("%s %s: %v\n%+v\n%+v", w.now, w.state.ID, err, w.signed, next)
		}
	}
	w.signed = next
}

// live moves a node: it looks at the pointer, and reports.
func (w *world) live(m *machine) {
	if m.dead || w.now.Before(m.off) || !m.seen.Add(interval).Before(w.now.Add(time.Second)) {
		return
	}
	if m.adopting != "" {
		m.digest, m.adopting = m.adopting, ""
		if m.dies && m.digest == w.state.Candidate {
			m.dead = true
			return
		}
	}
	d := rollout.Decide(w.signed, rollout.Place{Node: m.id, Current: m.digest, Aside: m.aside, Meets: func(when string) (bool, error) {
		switch when {
		case "a":
			return m.stages&1 != 0, nil
		case "b":
			return m.stages&2 != 0, nil
		}
		return false, fmt.Errorf("unknown label %q", when)
	}})
	if !m.pinned && d.Target != m.digest {
		w.wantAllowed(m, d)
		switch {
		case m.refuses && d.Target == w.state.Candidate:
			m.aside = append(m.aside, d.Target)
		case d.Target == w.state.Candidate:
			m.adopting = d.Target
		default:
			m.digest = d.Target
		}
	}
	if !w.now.Before(w.dark) {
		w.report(m)
	}
}

// wantAllowed: a node goes back only when it is told to leave what it has.
func (w *world) wantAllowed(m *machine, d rollout.Decision) {
	if numberOf(d.Target) < numberOf(m.digest) && (w.signed.Directive == nil || !slices.Contains(w.signed.Directive.Revert, m.digest)) {
		w.fail("%s: node %s goes from %s back to %s (%s) under %+v", w.now, m.id, m.digest, d.Target, d.Why, w.signed)
	}
	if shut := w.signed.Directive != nil && w.signed.Directive.Closed; (w.state.Phase == rollout.Paused || shut) && d.Target == w.state.Candidate && w.state.Phase != rollout.Completed {
		w.fail("%s: node %s takes the candidate of a rollout that is paused, or outside of its window", w.now, m.id)
	}
}

func (w *world) report(m *machine) {
	m.seen = w.now
	has := m.digest == bundle(w.made)
	m.said = rollout.Node{ID: m.id, Digest: m.digest, Adopting: m.adopting, PutAside: slices.Contains(m.aside, bundle(w.made))}
	m.run()
	if has && m.fails {
		m.said.Failed = 1
	}
	if has && m.bad {
		m.said.Bad = 1
	}
	if m.said.Waiting = 0; has && w.now.Before(m.held) {
		m.said.Waiting = 1
	}
	if has && !m.fails && !m.bad && m.said.Waiting == 0 {
		m.wellWith = m.digest
	}
}

func (w *world) snapshot() rollout.Snapshot {
	in := rollout.Snapshot{Now: w.now, Open: w.calm || w.now.Minute()%20 < 15}
	for _, m := range w.nodes {
		n := m.said
		n.Stages, n.Seen, n.Interval, n.Pinned, n.Muted = m.stages, m.seen, interval, m.pinned, m.muted
		n.Live = w.now.Sub(m.seen) <= 3*interval
		in.Nodes = append(in.Nodes, n)
	}
	w.outside(&in)
	return in
}

// chaos is what happens to fleets.
func (w *world) chaos() (commands []rollout.Command) {
	if w.calm {
		return nil
	}
	m := w.nodes[w.rand.IntN(len(w.nodes))]
	switch w.rand.IntN(60) {
	case 0:
		m.off = w.now.Add(time.Duration(w.rand.IntN(30)) * time.Minute)
	case 1:
		m.fails = !m.fails
	case 2:
		m.stages ^= 1 << w.rand.IntN(2) // a label changes
	case 3:
		m.pinned = !m.pinned
	case 4:
		if len(w.nodes) > 1 {
			w.nodes = slices.DeleteFunc(w.nodes, func(o *machine) bool { return o == m })
		}
	case 5:
		if len(w.nodes) < 20 {
			w.add()
		}
	case 6:
		w.dark = w.now.Add(time.Duration(w.rand.IntN(10)) * time.Minute)
	case 7, 8, 9:
		do := []rollout.Do{rollout.DoPause, rollout.DoResume, rollout.DoResume, rollout.DoApprove, rollout.DoApprove, rollout.DoAbort, rollout.DoRevert}
		commands = append(commands, rollout.Command{Do: do[w.rand.IntN(len(do))], By: "ann"})
	case 10:
		w.commit()
	case 11:
		m.bad, m.dies = !m.bad, false
	case 12:
		m.boot++
	case 14:
		m.held = w.now.Add(time.Duration(w.rand.IntN(40)) * time.Minute)
	case 15:
		m.muted = !m.muted
	case 13:
		w.unsure = w.now.Add(time.Duration(w.rand.IntN(10)) * time.Minute)
	}
	return commands
}

// commit makes a newer bundle.
func (w *world) commit() {
	if !w.state.Yields() {
		return
	}
	prev, _ := w.state.Supersede("a commit", w.now)
	w.made++
	for _, m := range w.nodes {
		m.aside = nil
		if m.dead && w.chance(0.5) {
			m.dead, m.dies, m.off = false, false, w.now
		}
	}
	w.begin(w.spec(), &prev)
}

// step lets time pass and checks everything.
func (w *world) step() []rollout.Transition {
	w.now = w.now.Add(tick)
	commands := w.chaos()
	for _, m := range w.nodes {
		w.live(m)
	}
	in := w.snapshot()
	if w.chance(0.05) {
		w.state = restarted(w.t, w.state)
	}
	before := w.state
	next, told := rollout.Step(before, in, commands)
	w.inputs = append(w.inputs, input{in, commands})
	w.state = next
	if w.seed%8 == 0 { // it takes as long again
		w.lazy.step(w, in, commands, w.chance(0.1))
	}
	w.wantCounts(in)
	w.wantNoWayBack(before, next)
	w.wantEvidence(before, next)
	w.wantGates(before, next, in, commands)
	if w.chance(0.2) {
		w.wantMonotone(before, in, commands, next)
	}
	w.publish()
	return told
}
