package rollout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// agreement is how many steps in sequence must find a gate open, so that one odd moment does not decide.
const agreement = 2

func (m *machine) stage() *StageInfo { return &m.s.Stages[min(m.s.Stage, len(m.s.Stages)-1)] }

// proceed moves the stage that is under way as far as it goes.
func (m *machine) proceed() {
	st, spec := m.stage(), m.s.Spec.Stages[m.s.Stage]
	if m.blind || m.membersDark() {
		st.unsettle()
		st.Blind += m.elapsed
		m.because(EvidenceBlind, "too many nodes went silent at once")
		if st.Blind > m.s.Spec.Deadline {
			m.enter(Paused, EvidenceBlind, "", fmt.Sprintf("nothing could be told of the nodes for %s", m.s.Spec.Deadline))
		}
		return
	}
	st.Blind = 0
	if !m.in.Open {
		st.unsettle()
		m.because(WaitingWindow, "")
		return
	}
	switch {
	case st.open():
		m.widen()
		m.gate()
	case len(st.Approved) < spec.Approve.Count:
		m.because(WaitingApproval, fmt.Sprintf("%d of %d have approved", len(st.Approved), spec.Approve.Count))
	case m.accepted():
		m.draw()
	}
	m.spend(st, spec.Name)
}

// longestHeld is how long a stage may be held by nothing but windows of resources. Those come every week; one that did not
// come by then does not come.
const longestHeld = 8 * 24 * time.Hour

// spend counts the time of a stage, and stops the rollout when that is over. As long as nothing is waited for but windows of
// resources, the deadline stands still, as it does outside of the window of the rollout.
func (m *machine) spend(st *StageInfo, name string) {
	if m.s.Phase != Running || !st.Ended.IsZero() {
		return
	}
	limit, used := m.s.Spec.Deadline, &st.Used
	if m.s.Reason == WaitingResources {
		limit, used = longestHeld, &st.Held
	}
	if *used += m.elapsed; *used > limit {
		m.enter(Paused, ProgressDeadline, "", strings.TrimSuffix(fmt.Sprintf("stage %s took more than %s: %s: %s", name, limit, m.s.Reason, m.s.Detail), ": "))
	}
}

// membersDark says whether a quarter of the adopters among the members are behind hubs that are dark.
func (m *machine) membersDark() bool {
	bit := uint32(1) << m.s.Stage
	dark, all := 0, 0
	for i := range m.in.Nodes {
		n := &m.in.Nodes[i]
		if p := &m.kept[i]; p.Members&bit != 0 && p.Adopted && !n.Muted {
			all++
			if n.Dark && !n.Live {
				dark++
			}
		}
	}
	return dark > 0 && dark*4 >= all
}

// draw chooses the members of a stage: of the live nodes that meet its condition, those that have been admitted before, and
// then as many of the others as are missing, by their place.
func (m *machine) draw() {
	st, spec := m.stage(), m.s.Spec.Stages[m.s.Stage]
	type drawn struct {
		i      int
		id     string
		bucket Bucket
		had    bool
	}
	var eligible []drawn
	for i := range m.in.Nodes {
		n := &m.in.Nodes[i]
		if n.Stages&(1<<m.s.Stage) == 0 || !n.Live || n.Pinned || n.Muted {
			continue
		}
		p := &m.kept[i]
		eligible = append(eligible, drawn{i, n.ID, BucketOf(m.s.Salt, n.ID), p.Admitted || p.Adopted})
	}
	if len(eligible) == 0 {
		if spec.Gate.OnEmpty == Skip {
			st.Skipped = true
			m.pass()
			return
		}
		m.because(NoEligibleNodes, "no live node meets the condition of the stage")
		return
	}
	slices.SortFunc(eligible, func(a, b drawn) int {
		switch {
		case a.had != b.had && a.had:
			return -1
		case a.had != b.had:
			return 1
		}
		return cmp.Or(cmp.Compare(a.bucket, b.bucket), cmp.Compare(a.id, b.id))
	})
	want := spec.Size.Of(len(eligible))
	for i, d := range eligible {
		if i >= want && !d.had {
			break
		}
		p := m.kept[d.i].Progress
		if p.Word == "" {
			p.Word = Pending
		}
		p.Members |= 1 << m.s.Stage
		m.remember(d.i, p)
		st.Members++
	}
	st.Began = m.now
	st.unsettle() // who agreed to its beginning has not agreed to its end
	m.because(Applying, "")
	m.widen()
}

// widen admits members of the stage, in the order of their places, as far as the nodes in flight allow.
func (m *machine) widen() {
	st, bit := m.stage(), uint32(1)<<m.s.Stage
	live, flying := 0, 0
	type member struct {
		i      int
		bucket Bucket
	}
	var next []member
	for i := range m.in.Nodes {
		n := &m.in.Nodes[i]
		if n.Live {
			live++
		}
		p := &m.kept[i]
		if p.known && m.words[i].inFlight() {
			flying++
		}
		if p.Members&bit != 0 && !p.Admitted {
			next = append(next, member{i, BucketOf(m.s.Salt, n.ID)})
		}
	}
	slices.SortFunc(next, func(a, b member) int { return cmp.Compare(a.bucket, b.bucket) })
	room := len(next)
	if limit := m.s.Spec.MaxInFlight; !limit.IsZero() {
		room = min(room, max(0, max(1, limit.Of(live))-flying))
	}
	for _, d := range next[:room] {
		n := &m.in.Nodes[d.i]
		p := m.kept[d.i].Progress
		m.s.Counts[m.words[d.i]]--
		p.Admitted, p.Stage = true, m.s.Stage
		p.Word = m.word(n, &p)
		m.words[d.i] = p.Word
		m.s.Counts[p.Word]++
		m.remember(d.i, p)
		st.Max = max(st.Max, d.bucket)
	}
	if room == len(next) && m.s.Stage == len(m.s.Stages)-1 {
		st.Max = Everyone // whoever comes back or joins later, too
	}
}

// A tally counts the members of a stage that are not excused.
type tally struct {
	members, healthy, settled, partial int
	turn                               int // those whose turn is yet to come
	outside                            int // all of those, excused or not
}

func (m *machine) tally() (t tally) {
	bit := uint32(1) << m.s.Stage
	for i := range m.in.Nodes {
		p := &m.kept[i]
		if p.Members&bit == 0 {
			continue
		}
		outside := !p.Admitted && !p.Adopted
		if outside {
			t.outside++
		}
		w := m.words[i]
		if w == Pinned || w == Offline || m.in.Nodes[i].Muted {
			continue // excused
		}
		t.members++
		if outside {
			t.turn++
		}
		if !m.in.Nodes[i].Live {
			continue // what it said before it went silent shows nothing now
		}
		switch w {
		case Healthy:
			t.healthy++
			t.settled++
		case Applied:
			t.settled++
		case Partial:
			t.partial++
		}
	}
	return t
}

// gate looks whether the stage has shown enough.
func (m *machine) gate() {
	st, t, success := m.stage(), m.tally(), m.s.Spec.Stages[m.s.Stage].Gate.Success
	st.Healthy = t.healthy
	enough := func(n int) bool { return float64(n)*100 >= success*float64(t.members) }
	open := t.outside == 0 && len(m.in.Unsure) == 0 && t.members > 0 && enough(t.healthy)
	if open {
		st.Agreed++
	} else {
		st.unsettle()
	}
	switch {
	case st.Agreed >= agreement:
		if m.accepted() {
			m.pass()
		}
	case len(m.in.Unsure) > 0:
		m.because(CheckUnknown, m.unsure())
	case t.members == 0:
		m.because(NoEligibleNodes, "every member is offline, pinned or maintained")
	case !open && m.held(t, enough):
		m.because(WaitingResources, fmt.Sprintf("%d of %d healthy; on %d, resources wait to do what is new", t.healthy, t.members, m.s.Counts[Partial]))
	case t.outside == 0 && t.settled == t.members:
		m.because(Soaking, fmt.Sprintf("%d of %d healthy", t.healthy, t.members))
	default:
		m.because(Applying, fmt.Sprintf("%d of %d healthy", t.healthy, t.members))
	}
}

// held says whether all that a stage waits for are windows of resources: with them its gate would be open, or everyone of it who was
// let in is well or waits so, and there is no room for the others before that is over.
func (m *machine) held(t tally, enough func(int) bool) bool {
	if t.outside == 0 {
		return t.partial > 0 && enough(t.healthy+t.partial)
	}
	return m.s.Counts[Partial] > 0 && t.healthy+t.partial+t.turn == t.members
}

// pass ends a stage.
func (m *machine) pass() {
	m.stage().Ended = m.now
	if m.s.Stage == len(m.s.Stages)-1 {
		m.s.Stage++
		m.enter(Completed, Done, "", "")
		return
	}
	m.s.Stage++
	m.enter(Running, Applying, "", "the next stage")
}
