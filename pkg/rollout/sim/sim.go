// Package sim plays a rollout over a fleet that is not there: what would happen if so many nodes failed, died or were cut off.
//
// It decides nothing by itself. The state machine is [rollout.Step], and nodes ask [rollout.Decide], as the report service and
// agents do; the clock is counted and chance is drawn from a seed, so that the same input gives the same timeline. A [Node] can
// also be used alone, to let agents of a test do what those of a simulation do.
//
// It refuses to know of maintenance, pins and windows of nodes, and of what a bundle changes: what becomes of a node is chance.
package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/rollout"
)

// Config says what is played.
type Config struct {
	Spec rollout.Spec
	// Open says whether the window of the rollout is open; nil: always.
	Open func(time.Time) bool
	// Stable and Candidate are digests; the order in which nodes are drawn follows from that of the candidate.
	Stable, Candidate string
	Members           []Member
	Seed              uint64
	Rates             Rates
	Outages           []Outage
	Commands          []Command
	// Approve is how long people take to agree to a stage; negative: nobody does.
	Approve time.Duration
	Start   time.Time // when the controller asks for the rollout
	For     time.Duration
	// Step is how often the report service looks, Poll how often the controller asks it for the pointer, and Turn how often a node
	// takes its turn; see [Config.WithDefaults].
	Step, Poll, Turn Beat
}

// A Beat is something that happens again and again, for the first time so long after the start.
type Beat struct{ First, Every time.Duration }

// A Member is a node of the channel.
type Member struct {
	Name   string
	Stages uint32 // bit i: its labels meet the condition of stage i
}

// A Command is what an operator does so long after the start.
type Command struct {
	After time.Duration
	rollout.Command
}

// An Outage cuts a share of the nodes off from everything for a time, or takes the report service away: then nothing is heard
// and nothing moves, and nodes go on by the pointer there is.
type Outage struct {
	After, For time.Duration
	Share      float64 // of the nodes, 0 to 1
	Service    bool
}

func (o Outage) at(after time.Duration) bool { return after >= o.After && after < o.After+o.For }

// Most is how many nodes and outages can be played.
const (
	MostNodes   = 1_000_000
	MostOutages = 100
)

// WithDefaults fills in what is not said: steps of 3 s and polls of 15 s as the programs have, turns of 30 s, a day.
func (c Config) WithDefaults() Config {
	for _, b := range []struct {
		beat  *Beat
		every time.Duration
	}{{&c.Step, 3 * time.Second}, {&c.Poll, 15 * time.Second}, {&c.Turn, 30 * time.Second}} {
		if b.beat.Every == 0 {
			b.beat.Every = b.every
		}
	}
	if c.For == 0 {
		c.For = 24 * time.Hour
	}
	if c.Stable == "" {
		c.Stable = "stable"
	}
	if c.Candidate == "" {
		c.Candidate = "candidate"
	}
	return c
}

// Validate reports everything that is wrong.
func (c Config) Validate() error {
	faults := []error{c.Spec.Validate(), c.Rates.validate()}
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(c.Members) == 0 || len(c.Members) > MostNodes {
		wrong("a simulation has from 1 to %d nodes, not %d", MostNodes, len(c.Members))
	}
	if c.Step.Every < time.Second || c.Poll.Every < time.Second || c.Turn.Every < time.Second || c.For < time.Second {
		wrong("steps, polls, intervals and the time that is played are at least a second")
	}
	if c.Rates.Unwell > 0 && len(c.Spec.Checks) == 0 {
		wrong("checks cannot fail: the rollout has none")
	}
	if c.Stable == c.Candidate {
		wrong("the candidate %s is stable already", c.Candidate)
	}
	if len(c.Outages) > MostOutages {
		wrong("there are %d outages, and at most %d are allowed", len(c.Outages), MostOutages)
	}
	for _, o := range c.Outages {
		if o.After < 0 || o.For <= 0 || o.Share < 0 || o.Share > 1 {
			wrong("an outage begins at or after the start, takes some time, and is of a share from 0 to 1")
		}
	}
	return errors.Join(faults...)
}

// play is a simulation under way.
type play struct {
	Config
	after  time.Duration // since the start
	nodes  []*Node       // in the order of their turns
	known  []rollout.Node
	next   int           // whose turn is next
	cycle  time.Duration // when the cycle of turns under way began
	state  rollout.State
	signed rollout.Signed // the pointer
	on     []bool         // outages
	down   bool           // the service is
	deaf   time.Duration  // until when nothing can be told of who is silent
	asked  time.Duration  // since when an approval is asked; negative: it is not
	out    Timeline
}

// Run plays a rollout until it is over, has stopped and nobody is to do anything about it, or its time has passed.
func Run(c Config) (Timeline, error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return Timeline{}, fmt.Errorf("simulating a rollout: %w", err)
	}
	p := &play{Config: c, asked: -1, signed: rollout.Signed{Stable: c.Stable}}
	p.Commands = slices.Clone(c.Commands)
	slices.SortStableFunc(p.Commands, func(a, b Command) int { return int(a.After - b.After) })
	p.state = rollout.Begin("simulated", c.Spec, c.Stable, c.Candidate, nil, c.Start)
	p.people()
	p.step()
	p.note("the rollout begins")
	p.out.Entries = slices.Insert(p.out.Entries[:len(p.out.Entries)-1], 0, p.out.Entries[len(p.out.Entries)-1])
	p.publish()
	step, poll := first(c.Step), first(c.Poll)
	for !p.ended() {
		turn := p.nextTurn()
		switch p.after = min(turn, step, poll, c.For); {
		case p.after == c.For:
			p.note("the time is over")
			return p.result(), nil
		case p.after == turn:
			p.turn()
		case p.after == step:
			p.outages()
			if !p.down {
				p.step()
			}
			step += c.Step.Every
		default:
			if !p.down {
				p.publish()
			}
			poll += c.Poll.Every
		}
	}
	return p.result(), nil
}

// first is when a beat comes after the start, which is one of its own.
func first(b Beat) time.Duration {
	if b.First > 0 {
		return b.First
	}
	return b.Every
}

func (p *play) now() time.Time { return p.Start.Add(p.after) }

// people makes the nodes. Each was heard of at its last turn before the start.
func (p *play) people() {
	for _, m := range p.Members {
		if p.Spec.Immediate {
			m.Stages = 1 // of the one stage that is left, which has no condition
		}
		p.nodes = append(p.nodes, NewNode(m, p.Seed, p.Rates, p.Turn.Every, p.Stable, p.state.Spec.Stages))
	}
	shift := p.Turn.First % p.Turn.Every
	at := func(n *Node) time.Duration { return (n.Fate.Phase + shift + p.Turn.Every) % p.Turn.Every }
	slices.SortStableFunc(p.nodes, func(a, b *Node) int { return int(at(a) - at(b)) })
	p.known = make([]rollout.Node, len(p.nodes))
	for i, n := range p.nodes {
		n.offset = at(n)
		p.known[i] = rollout.Node{ID: n.Name, Stages: n.Stages, Interval: p.Turn.Every, Digest: p.Stable, Seen: p.Start.Add(n.offset - p.Turn.Every)}
		if n.Fate.Off {
			p.known[i].Seen = p.Start.Add(-24 * time.Hour)
		}
	}
}

func (p *play) nextTurn() time.Duration { return p.cycle + p.nodes[p.next].offset }

// turn is that of the next node.
func (p *play) turn() {
	i := p.next
	n, known := p.nodes[i], &p.known[i]
	if p.next++; p.next == len(p.nodes) {
		p.next, p.cycle = 0, p.cycle+p.Turn.Every
	}
	if n.CutOff(p.Outages, p.after) {
		return
	}
	for _, says := range n.Turn(p.signed) {
		if !p.serviceDown() {
			says.into(known, p.Candidate, len(p.Spec.Checks))
			known.Seen = p.now()
		}
	}
}

func (p *play) serviceDown() bool {
	return slices.ContainsFunc(p.Outages, func(o Outage) bool { return o.Service && o.at(p.after) })
}

// outages notes what begins and ends. A service that was away cannot tell for three intervals who is silent.
func (p *play) outages() {
	if p.on == nil {
		p.on = make([]bool, len(p.Outages))
	}
	down := p.serviceDown()
	if p.down && !down {
		p.deaf = p.after + 3*p.Turn.Every
	}
	p.down = down
	for i, o := range p.Outages {
		if now := o.at(p.after); now != p.on[i] {
			p.on[i] = now
			p.note(o.name() + map[bool]string{true: " begins", false: " is over"}[now])
		}
	}
}

func (o Outage) name() string {
	if o.Service {
		return "an outage of the report service"
	}
	return fmt.Sprintf("an outage of the network of %.3g %% of the nodes", o.Share*100)
}

// step is what the report service does.
func (p *play) step() {
	in := rollout.Snapshot{Now: p.now(), Open: p.Open == nil || p.Open(p.now()), Blind: p.after < p.deaf, Nodes: p.known}
	for i := range p.known {
		p.known[i].Live = in.Now.Sub(p.known[i].Seen) <= 3*p.known[i].Interval
	}
	if p.Approve >= 0 { // who is asked outside accepts at once
		for _, q := range p.state.Questions() {
			in.Answers = append(in.Answers, rollout.Answer{Rollout: q.Rollout, Stage: q.Stage, Of: q.Of, Asked: q.Asked, Verdict: rollout.Accept, At: in.Now})
		}
	}
	var told []rollout.Transition
	p.state, told = rollout.Step(p.state, in, p.commands())
	for _, t := range told {
		p.tell(t)
	}
	switch {
	case p.state.Reason != rollout.WaitingApproval:
		p.asked = -1
	case p.asked < 0:
		p.asked = p.after
	}
	p.out.steps++
}

// commands are those that are due, and approvals when people have had time.
func (p *play) commands() (due []rollout.Command) {
	for len(p.Commands) > 0 && p.Commands[0].After <= p.after {
		due = append(due, p.Commands[0].Command)
		p.Commands = p.Commands[1:]
	}
	if p.Approve >= 0 && p.asked >= 0 && p.after-p.asked >= p.Approve {
		for i := range p.Spec.Stages[p.state.Stage].Approve.Count {
			due = append(due, rollout.Command{Do: rollout.DoApprove, By: fmt.Sprintf("approver-%d", i+1)})
		}
	}
	return due
}

// publish is what the controller does.
func (p *play) publish() { p.signed = p.state.Signed() }

// ended says that nothing follows by itself.
func (p *play) ended() bool {
	switch {
	case p.state.Phase.Over():
		return true
	case p.state.Phase == rollout.Paused || p.state.Phase == rollout.Aborted:
		return len(p.Commands) == 0
	default:
		return false
	}
}
