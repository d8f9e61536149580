package rollout

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// machine is one step under way.
type machine struct {
	s       State
	in      Snapshot
	now     time.Time
	elapsed time.Duration
	blind   bool
	words   []Word // of in.Nodes
	kept    []kept // what is remembered of in.Nodes
	own     bool   // the map of the state is its own, and may be changed
	out     []Transition
}

// kept is what is remembered of a node, if something is.
type kept struct {
	Progress
	known bool
}

// recall looks up once what is remembered of each node: a step looks at it many times.
func (m *machine) recall() {
	m.kept = make([]kept, len(m.in.Nodes))
	for i := range m.in.Nodes {
		m.kept[i].Progress, m.kept[i].known = m.s.Nodes[m.in.Nodes[i].ID]
	}
}

// remember changes what is remembered of a node. The map of the state before is left as it is.
func (m *machine) remember(i int, p Progress) {
	m.ownNodes()
	m.kept[i] = kept{p, true}
	m.s.Nodes[m.in.Nodes[i].ID] = p
}

func (m *machine) ownNodes() {
	if !m.own {
		m.s.Nodes, m.own = maps.Clone(m.s.Nodes), true
	}
	if m.s.Nodes == nil {
		m.s.Nodes = map[string]Progress{}
	}
}

// longestGap is how much of the time between two steps counts: while nobody looked, no deadline passes.
const longestGap = 10 * time.Minute

// Step returns what follows from a state, what is known, and what operators want, and what people are to be told of. The same
// input gives the same output; the state that is given is not changed. A clock that goes back counts as one that stands.
func Step(s State, in Snapshot, commands []Command) (State, []Transition) {
	if s.Phase.Over() {
		return s, nil
	}
	m := &machine{s: s.clone(), in: in, now: in.Now, words: make([]Word, len(in.Nodes))}
	if m.now.Before(s.Ticked) {
		m.now = s.Ticked
	}
	m.recall()
	m.elapsed = min(m.now.Sub(s.Ticked), longestGap)
	m.s.Ticked, m.s.Closed = m.now, !in.Open
	m.blind = m.isBlind()
	m.compare()
	for _, c := range commands {
		m.obey(c)
	}
	m.judge()
	m.hear()
	if m.s.Phase == Running || m.s.Phase == Paused {
		m.abortIfNeeded()
	}
	switch m.s.Phase {
	case Running:
		m.proceed()
	case Reverting:
		m.revertProgress()
	}
	return m.s, m.out
}

// enter changes phase and reason, and tells of it.
func (m *machine) enter(p Phase, r Reason, by, detail string) {
	t := Transition{At: m.now, Rollout: m.s.ID, From: m.s.Phase, To: p, Reason: r, By: by, Detail: detail}
	if m.s.Stage < len(m.s.Spec.Stages) {
		t.Stage = m.s.Spec.Stages[m.s.Stage].Name
	}
	m.s.Phase, m.s.Reason, m.s.By, m.s.Detail, m.s.Since = p, r, by, detail, m.now
	m.out = append(m.out, t)
}

func (m *machine) last() Transition {
	if len(m.out) == 0 {
		return Transition{}
	}
	return m.out[len(m.out)-1]
}

// because sets the reason of a rollout that runs; people are told when it changes.
func (m *machine) because(r Reason, detail string) {
	if m.s.Reason == r {
		m.s.Detail = detail
		return
	}
	m.enter(m.s.Phase, r, "", detail)
}

// isBlind says whether a quarter of the nodes that were live went silent at about the same time: that is a hub, a network or
// this service, and says nothing of the candidate. When those are nodes that have it, and the others go on, it does.
func (m *machine) isBlind() bool {
	var live, silent, others, othersSilent int
	interval := time.Duration(0)
	for i := range m.in.Nodes {
		n := &m.in.Nodes[i]
		interval = max(interval, n.Interval)
		if n.Muted && !n.Live {
			continue // it is known why
		}
		gone := !n.Live && n.Seen.After(m.s.Heard.Before.Add(-3*n.Interval))
		if !n.Live && !gone {
			continue // since long ago
		}
		adopted := m.kept[i].Adopted
		if n.Live {
			live++
		} else {
			silent++
		}
		if !adopted {
			others++
			if gone {
				othersSilent++
			}
		}
	}
	if m.in.Blind {
		return true
	}
	control := others-othersSilent >= 3 && othersSilent*8 < others
	if silent*4 > live+silent && !control {
		return true
	}
	if h := &m.s.Heard; m.now.Sub(h.At) >= 2*interval {
		h.Before, h.At = h.At, m.now
	}
	return false
}

// forget takes those that are live now for all that there are: an operator says that the others are gone.
func (m *machine) forget() {
	m.s.Heard = Heard{At: m.now, Before: m.now}
	m.blind = m.in.Blind
}

func (m *machine) obey(c Command) {
	phase := m.s.Phase
	active := phase == Running || phase == Paused
	switch {
	case c.Do == DoPause && phase == Running:
		m.enter(Paused, ByOperator, c.By, "")
	case c.Do == DoResume && phase == Paused:
		if m.s.Reason == EvidenceBlind {
			m.forget()
		}
		m.resume(c.By)
	case c.Do == DoApprove && active:
		m.approve(c)
	case c.Do == DoAbort && active:
		m.abort(ByOperator, c.By, "")
	case c.Do == DoRevert && (active || phase == Aborted):
		m.takeBack(ByOperator, c.By, "")
	}
}

func (m *machine) resume(by string) {
	st := m.stage()
	st.Used, st.Held, st.Blind = 0, 0, 0
	st.unsettle()
	m.enter(Running, Applying, by, "")
}

func (m *machine) approve(c Command) {
	i := m.s.Stage
	if c.Stage != "" {
		i = slices.IndexFunc(m.s.Spec.Stages, func(s Stage) bool { return s.Name == c.Stage })
	}
	if i < m.s.Stage || i >= len(m.s.Stages) {
		return
	}
	st := &m.s.Stages[i]
	if !slices.ContainsFunc(st.Approved, func(by string) bool { return SamePerson(by, c.By) }) {
		st.Approved = append(st.Approved, c.By)
	}
	// What was paused because nobody had agreed goes on when they have.
	if m.s.Phase == Paused && m.s.Reason == ProgressDeadline && i == m.s.Stage && !st.open() && len(st.Approved) >= m.s.Spec.Stages[i].Approve.Count {
		m.resume(c.By)
	}
}

// abortIfNeeded looks at all adopters, at every step. While nobody can be seen, nobody is counted.
func (m *machine) abortIfNeeded() {
	if m.blind {
		return
	}
	adopters := 0
	for w, n := range m.s.Counts {
		if w.adopter() {
			adopters += n
		}
	}
	failed, lost := m.s.Counts[Failed]+m.s.Counts[SelfReverted]-m.byChecksAlone(), m.s.Counts[Lost]
	switch {
	case m.s.Spec.Abort.Failed.passed(failed, adopters):
		m.abort(m.cause(failed), "", fmt.Sprintf("%d of %d failed", failed, adopters))
	case m.s.Spec.Abort.Lost.passed(lost, adopters):
		m.abort(AbortLost, "", fmt.Sprintf("%d of %d lost", lost, adopters))
	default:
		m.abortByChecks(adopters)
	}
}

func (m *machine) abort(r Reason, by, detail string) {
	if m.s.Spec.OnAbort == Revert {
		m.takeBack(r, by, detail)
		return
	}
	m.enter(Aborted, r, by, detail)
}

func (m *machine) takeBack(r Reason, by, detail string) {
	if !slices.Contains(m.s.Taken, m.s.Candidate) {
		m.s.Taken = append(m.s.Taken, m.s.Candidate)
	}
	m.enter(Reverting, r, by, detail)
}

// revertProgress ends a reversion when no node that can be seen has the candidate. Those that are offline leave it when they
// come back: pointers go on to say so.
func (m *machine) revertProgress() {
	if m.blind {
		return
	}
	for i := range m.in.Nodes {
		if n := &m.in.Nodes[i]; n.Live && !n.Pinned && n.Digest == m.s.Candidate {
			return
		}
	}
	m.enter(Reverted, m.s.Reason, m.s.By, m.s.Detail)
}
