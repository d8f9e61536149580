package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"vigo.dev/pkg/rollout"
)

// Rates are how many of the nodes have a fate, from 0 to 1.
type Rates struct {
	Fail    float64 `json:"fail"`    // whose runs fail with the candidate
	Lose    float64 `json:"lose"`    // that announce the candidate and are never heard of again
	Refuse  float64 `json:"refuse"`  // that cannot run it and stay with what they have
	Unwell  float64 `json:"unwell"`  // for which the checks do not hold with it
	Offline float64 `json:"offline"` // that were off before, and stay so
	Flaky   float64 `json:"flaky"`   // of all runs: those that fail once
}

func (r Rates) validate() error {
	for _, v := range []float64{r.Fail, r.Lose, r.Refuse, r.Unwell, r.Offline, r.Flaky} {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("a rate is from 0 to 1, not %g", v)
		}
	}
	return nil
}

// A Fate is what becomes of a node.
type Fate struct {
	Phase time.Duration // when in an interval it takes its turn: an odd number of milliseconds, so that nothing else happens then
	Off   bool
	// With the candidate:
	Fails, Dies, Refuses, Unwell bool
}

// A Node is a simulated agent.
type Node struct {
	Member
	Fate Fate
	// Meets says whether the labels of the node meet the condition of a stage: by the stages of the member, unless it is replaced.
	Meets func(when string) (bool, error)

	seed              uint64
	flaky             float64
	offset            time.Duration // of its turns in the cycles of a play
	stages            []rollout.Stage
	bundle, candidate string // candidate: the last it heard of
	aside             []string
	ran               int // runs with the bundle
	dead              bool
}

// NewNode draws the fate of a node, which follows from the seed and its name alone. It has what is stable. Its fate is the same
// with every candidate that comes.
func NewNode(m Member, seed uint64, r Rates, interval time.Duration, stable string, stages []rollout.Stage) *Node {
	n := &Node{Member: m, seed: seed, flaky: r.Flaky, stages: stages, bundle: stable}
	n.Meets = n.meets
	chance := rand.New(rand.NewPCG(seed, uint64(rollout.BucketOf("fate", m.Name))))
	of := func(rate float64) bool { return chance.Float64() < rate }
	n.Fate = Fate{Phase: time.Duration(chance.Int64N(int64(interval/(2*time.Millisecond))))*2*time.Millisecond + time.Millisecond,
		Off: of(r.Offline), Fails: of(r.Fail), Dies: of(r.Lose), Refuses: of(r.Refuse), Unwell: of(r.Unwell)}
	return n
}

// chance is a number from 0 to 1 that is the same each time it is asked for.
func (n *Node) chance(what string) float64 {
	return float64(rollout.BucketOf(fmt.Sprintf("%d %s", n.seed, what), n.Name)) / float64(rollout.Everyone)
}

// CutOff says whether an outage of the network keeps the node from taking its turn so long after the start.
func (n *Node) CutOff(outages []Outage, after time.Duration) bool {
	for i, o := range outages {
		if !o.Service && o.at(after) && n.chance(fmt.Sprintf("outage %d", i)) < o.Share {
			return true
		}
	}
	return false
}

// Says is what a node tells of itself in one check-in.
type Says struct {
	Bundle   string
	Adopting string // that it is about to take
	Aside    string // that it could not run
	Failed   bool   // its last run
	Unwell   bool   // the checks do not hold
}

// Turn has the node look at a pointer, take what it is to have, run, and say so: nothing if it is off, twice if it takes
// something over.
func (n *Node) Turn(signed rollout.Signed) (said []Says) {
	if n.dead || n.Fate.Off {
		return nil
	}
	if signed.Candidate != "" {
		n.candidate = signed.Candidate
	}
	d := rollout.Decide(signed, rollout.Place{Node: n.Name, Current: n.bundle, Aside: n.aside, Meets: n.Meets})
	switch meant := d.Target == n.candidate; {
	case d.Target == n.bundle:
	case meant && n.Fate.Refuses:
		n.aside = append(n.aside, d.Target)
	default:
		if signed.Directive != nil {
			said = append(said, Says{Bundle: n.bundle, Adopting: d.Target, Aside: n.putAside()})
		}
		if meant && n.Fate.Dies {
			n.dead = true
			return said
		}
		n.bundle, n.ran = d.Target, 0
	}
	n.ran++
	has := n.bundle == n.candidate
	failed := has && n.Fate.Fails || n.flaky > 0 && n.chance(fmt.Sprintf("%s run %d", n.bundle, n.ran)) < n.flaky
	return append(said, Says{Bundle: n.bundle, Aside: n.putAside(), Failed: failed, Unwell: has && n.Fate.Unwell})
}

// Dead says whether a candidate was its end.
func (n *Node) Dead() bool { return n.dead }

// Has is the digest of the bundle it enforces.
func (n *Node) Has() string { return n.bundle }

func (n *Node) putAside() string {
	if len(n.aside) == 0 {
		return ""
	}
	return n.aside[len(n.aside)-1]
}

func (n *Node) meets(when string) (bool, error) {
	i := slices.IndexFunc(n.stages, func(s rollout.Stage) bool { return s.When == when })
	return i >= 0 && n.Stages&(1<<i) != 0, nil
}

// into puts what a node says into what is known of it.
func (s Says) into(k *rollout.Node, candidate string, checks int) {
	k.Digest, k.Adopting, k.PutAside, k.Failed, k.Bad = s.Bundle, s.Adopting, s.Aside == candidate, 0, 0
	if s.Bundle == candidate && s.Failed {
		k.Failed = 1
	}
	if s.Bundle == candidate && s.Unwell {
		k.Bad = 1<<checks - 1
	}
}
