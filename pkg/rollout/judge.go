package rollout

import (
	"cmp"
	"maps"
	"time"
)

// judge says where each node is, and counts them.
func (m *machine) judge() {
	m.s.Counts = make(map[Word]int, 12)
	here := 0
	for i := range m.in.Nodes {
		n := &m.in.Nodes[i]
		p, known := m.kept[i].Progress, m.kept[i].known
		if !p.Admitted && m.s.Phase == Running {
			p.Stage, p.Admitted = m.admittedTo(n)
		}
		was := p
		p.Word = m.word(n, &p)
		m.s.Counts[p.Word]++
		if known || p.Admitted || p.Adopted || p.Members != 0 {
			if !known || !p.Equal(was) {
				m.remember(i, p)
			}
			here++
		}
		m.words[i] = p.Word
	}
	if here < len(m.s.Nodes) {
		m.forgetRetired()
	}
}

// forgetRetired removes what is remembered of nodes that are not there any more.
func (m *machine) forgetRetired() {
	here := make(map[string]bool, len(m.in.Nodes))
	for i := range m.in.Nodes {
		here[m.in.Nodes[i].ID] = true
	}
	m.ownNodes()
	maps.DeleteFunc(m.s.Nodes, func(id string, _ Progress) bool { return !here[id] })
}

// Equal reports whether two are the same.
func (p Progress) Equal(q Progress) bool {
	return p.Word == q.Word && p.Stage == q.Stage && p.Members == q.Members && p.Admitted == q.Admitted && p.Adopted == q.Adopted &&
		p.Good.Equal(q.Good) && p.Seen.Equal(q.Seen) && p.Doubt.Equal(q.Doubt) && p.Reports == q.Reports && p.Check == q.Check && p.Boot == q.Boot &&
		p.Await == q.Await && string(p.Strikes) == string(q.Strikes)
}

// Same reports whether two are the same but for when its node was heard of. A service that keeps only what is not the same, and is
// started again, decides as one that was not: what was counted of a report is a difference, and no report is counted beyond
// those that a gate wants.
func (p Progress) Same(q Progress) bool {
	q.Seen = p.Seen
	return p.Equal(q)
}

// admittedTo returns the stage whose threshold lets a node in, as the node finds it itself from the pointer.
func (m *machine) admittedTo(n *Node) (int, bool) {
	if n.Stages == 0 {
		return 0, false
	}
	bucket := BucketOf(m.s.Salt, n.ID)
	for i, st := range m.s.Stages {
		if st.open() && n.Stages&(1<<i) != 0 && st.Max > 0 && bucket <= st.Max {
			return i, true
		}
	}
	return 0, false
}

func (m *machine) word(n *Node, p *Progress) Word {
	has := n.Digest == m.s.Candidate
	switch {
	case n.Pinned:
		return Pinned
	case has || n.Adopting == m.s.Candidate || n.PutAside:
		p.Adopted = true
	case p.Adopted && n.Live && n.Seen.After(p.Seen):
		// It has another one and does not say why: it was installed anew, or is being taken back.
		p.Adopted, p.Reports, p.Good, p.Strikes, p.Check, p.Boot, p.Await = false, 0, time.Time{}, nil, "", "", ""
	}
	if !p.Adopted {
		return m.before(n, p)
	}
	p.booted(n)
	switch {
	case n.PutAside:
		p.Good = time.Time{}
		return SelfReverted
	case !n.Live:
		return m.silent(n, p)
	case !has:
		return Adopting
	default:
		return m.well(n, p)
	}
}

// before is the word of a node that does not have the candidate.
func (m *machine) before(n *Node, p *Progress) Word {
	switch {
	case !p.Admitted && n.Stages == 0:
		return Ineligible
	case !n.Live:
		return Offline
	case !p.Admitted:
		return Pending
	case !m.in.Open:
		return Waiting
	default:
		return Admitted
	}
}

// silent is the word of an adopter that nothing is heard of. When nothing is heard of many, or of its hub, or somebody works on it, that
// says nothing of the node, which then has its whole time again to be heard of; it counts as lost an interval late, so that an outage of
// many is seen as one first.
func (m *machine) silent(n *Node, p *Progress) Word {
	limit := time.Duration(m.s.Spec.LostAfter+1) * n.Interval
	if n.Rebooting {
		limit = max(limit, m.s.Spec.RebootGrace)
	}
	if (m.blind || n.Dark || n.Muted) && m.now.Sub(p.Doubt) >= n.Interval { // not at each step: it is written down
		p.Doubt = m.now
	}
	heard := n.Seen
	if p.Doubt.After(heard) {
		heard = p.Doubt
	}
	if p.Word != Lost && m.now.Sub(heard) <= limit {
		if p.Word.adopter() {
			return p.Word
		}
		return Adopting
	}
	p.Good = time.Time{}
	return Lost
}

// well is the word of a node that has the candidate and reports.
func (m *machine) well(n *Node, p *Progress) Word {
	gate := m.s.Spec.Stages[min(p.Stage, len(m.s.Spec.Stages)-1)].Gate
	unsure := len(m.in.Unsure) > 0
	if n.Seen.After(p.Seen) && !unsure { // a report is looked at when all of it can be
		p.Seen = n.Seen
		p.Reports = min(p.Reports+1, gate.Checkins)
		m.strike(n, p)
	}
	p.Check = ""
	if n.Failed == 0 {
		p.Check = m.failing(p)
	}
	if n.Failed > 0 || p.Check != "" {
		p.Good = time.Time{}
		return Failed
	}
	if n.Waiting > 0 {
		p.Good = time.Time{} // what it has yet to do is what has to be shown
		return Partial
	}
	// One report in which a check does not hold takes nobody's health, but nobody becomes healthy with it.
	if n.Unconfirmed || p.Await != "" || p.Strikes != nil && p.Word != Healthy {
		p.Good = time.Time{}
		return Applied
	}
	if p.Good.IsZero() {
		p.Good = n.Seen
	}
	if (!unsure || p.Word == Healthy) && p.Reports >= gate.Checkins && n.Seen.Sub(p.Good) >= gate.Soak {
		return Healthy
	}
	return Applied
}

// failing is the check that makes a node count as failed; one without a limit of its own before those that have one.
func (m *machine) failing(p *Progress) (name string) {
	for i, c := range m.s.Spec.Checks {
		if !m.struck(p, i) {
			continue
		}
		if !c.Abort.set() {
			return c.Name
		}
		if name == "" {
			name = c.Name
		}
	}
	return name
}

// struck is whether a check did not hold for a node as often as makes it count.
func (m *machine) struck(p *Progress, check int) bool {
	return check < len(p.Strikes) && int(p.Strikes[check]) >= m.s.Spec.Checks[check].For
}

// booted looks whether the machine of an adopter was started anew: then what it showed before counts no more, and it has to
// show another run.
func (p *Progress) booted(n *Node) {
	switch {
	case n.Boot == "" || !n.Live:
	case p.Boot == "":
		p.Boot = n.Boot
	case p.Boot != n.Boot:
		p.Boot, p.Await = n.Boot, cmp.Or(n.Run, "none")
		p.Reports, p.Good = 0, time.Time{}
	case n.Run != p.Await && n.Run != "" && n.Seen.After(p.Seen):
		p.Await = ""
	}
}

// strike counts how often in sequence each check did not hold. It looks at each report once.
func (m *machine) strike(n *Node, p *Progress) {
	if n.Bad == 0 {
		p.Strikes = nil
		return
	}
	strikes := make([]uint8, len(m.s.Spec.Checks))
	copy(strikes, p.Strikes)
	for i := range strikes {
		switch {
		case n.Bad&(1<<i) == 0:
			strikes[i] = 0
		case strikes[i] < 255:
			strikes[i]++
		}
	}
	p.Strikes = strikes
}
