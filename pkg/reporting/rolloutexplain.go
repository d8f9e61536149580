package reporting

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// ExplainRollout implements api.Rollouts.
func (s *Service) ExplainRollout(ctx context.Context, name string) (report.RolloutNode, error) {
	s.mu.Lock()
	n, err := s.active(name)
	if err != nil {
		s.mu.Unlock()
		return report.RolloutNode{}, err
	}
	channel, labels, live, says := s.channelOf(n), n.Labels, n.live(s.Now()), s.sayingOf(n)
	s.mu.Unlock()
	state, err := s.rolloutOf(ctx, channel)
	if err != nil {
		return report.RolloutNode{}, err
	}
	if state.ID == "" {
		return report.RolloutNode{}, api.Refuse(api.ErrNotFound, "there was no rollout on channel %s, which %s is of", channel, name)
	}
	docs, err := s.DB.RolloutDocs(ctx, channel, nodePrefix+name)
	if err != nil {
		return report.RolloutNode{}, kept(err)
	}
	out := report.RolloutNode{Node: name, Channel: channel, Bundle: says.bundle, Bucket: rollout.BucketOf(state.Salt, name)}
	if doc := docs[nodePrefix+name]; doc != nil {
		if err := json.Unmarshal(doc, &out.Progress); err != nil {
			return out, fmt.Errorf("reading the rollout of %s: %w", channel, err)
		}
	}
	plan, err := s.planOf(ctx, channel)
	if err != nil {
		return out, err
	}
	var m meets
	m.use(plan)
	e := explaining{state: state, p: out.Progress, stages: m.of(&state.Spec, name, labels, s.Now()), node: name, says: says, now: s.Now()}
	if e.p.Word == "" { // nothing is remembered of nodes that were never drawn
		switch {
		case says.pinned:
			e.p.Word = rollout.Pinned
		case e.stages != 0 && !live:
			e.p.Word = rollout.Offline
		}
		out.Progress.Word = e.p.Word
	}
	out.Word, out.Text = e.text()
	placed(&out, state)
	return out, nil
}

// saying is what a node said last, as far as its place in a rollout is explained by it.
type saying struct {
	seen     time.Time
	bundle   string
	pinned   bool
	why      string // it is pinned
	waiting  int    // resources that have yet to do what is new
	muted    bool   // it is maintained
	refusals []report.Refusal
}

// sayingOf returns what a node said. The caller holds the lock.
func (s *Service) sayingOf(n *node) saying {
	last := &n.account.Last
	return saying{seen: n.seen, bundle: last.Bundle, pinned: last.Pinned, why: last.Why, waiting: last.Run.Counts.Waiting, muted: s.covered(n) != nil, refusals: slices.Clone(last.Refusals)}
}

// lastOf returns what the node of a name said; nothing if there is none.
func (s *Service) lastOf(name string) saying {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.nodes[name]; n != nil {
		return s.sayingOf(n)
	}
	return saying{}
}

// explaining is a node of a rollout of which people are told why it is where it is.
type explaining struct {
	state  rollout.State
	p      rollout.Progress
	stages uint32 // whose conditions it meets
	node   string
	says   saying
	now    time.Time
}

// text says in a sentence where the node is.
func (e explaining) text() (rollout.Word, string) {
	word, text := e.p.Word, ""
	switch word {
	case rollout.Partial, rollout.Applied, rollout.Healthy, rollout.Failed:
		text = e.having()
	case rollout.Adopting:
		text = fmt.Sprintf("it said that it is about to take the new bundle, by %s, and has yet to report a run with it", e.stage())
	case rollout.Lost:
		text = fmt.Sprintf("it took the new bundle by %s and has been silent for %s", e.stage(), e.since(e.says.seen))
	case rollout.SelfReverted:
		text = "it could not run the new bundle, and went back by itself"
		if why := e.refusal(); why != "" {
			text += ": " + why
		}
	case rollout.Offline:
		text = fmt.Sprintf("it has been silent for %s, since before it took the new bundle: nobody waits for it", e.since(e.says.seen))
		if e.says.seen.IsZero() {
			text = "it has never been heard of: nobody waits for it"
		}
	case rollout.Pinned:
		text = "somebody pinned it to the bundle it has"
		if e.says.why != "" {
			text += " (" + e.says.why + ")"
		}
		text += ": it takes nothing else, and nobody waits for it"
	case rollout.Waiting, rollout.Admitted:
		text = e.letIn()
	default:
		word, text = e.outside()
	}
	if e.says.muted && !e.state.Phase.Over() {
		text += "; it is maintained, and no gate looks at it"
	}
	if e.state.Phase == rollout.Running && e.state.Reason == rollout.EvidenceBlind {
		text += "; too many nodes went silent at once: nothing is counted until they are back"
	}
	return word, text
}

func (e explaining) since(t time.Time) string { return e.now.Sub(t).Round(time.Second).String() }

// stage is that which let the node in.
func (e explaining) stage() string {
	if e.p.Stage < len(e.state.Spec.Stages) {
		return "stage " + e.state.Spec.Stages[e.p.Stage].Name
	}
	return "a stage"
}

// having is said of a node that has the candidate and reports.
func (e explaining) having() string {
	has := "it has the new bundle by " + e.stage()
	switch {
	case e.p.Word == rollout.Healthy:
		return fmt.Sprintf("%s and has been well for %s", has, e.since(e.p.Good))
	case e.p.Word == rollout.Partial:
		return fmt.Sprintf("%s, and %d of its resources wait to do what is new, for a window, a turn or secrets (vigo node %s)", has, e.says.waiting, e.node)
	case e.p.Word == rollout.Failed && e.p.Check != "":
		return fmt.Sprintf("%s, and the check %s does not hold", has, e.p.Check)
	case e.p.Word == rollout.Failed:
		return has + ", and its last run failed"
	case e.p.Await != "":
		return has + "; its machine was started anew, and it has yet to show a run since"
	case e.p.Good.IsZero():
		return has + "; it has yet to show that it is well"
	}
	return fmt.Sprintf("%s and is watched: well for %s, in %d reports or more", has, e.since(e.p.Good), e.p.Reports)
}

// letIn is said of a node whose turn has come, and that does not have the candidate.
func (e explaining) letIn() string {
	let := e.stage() + " has let it in"
	switch e.state.Phase {
	case rollout.Aborted, rollout.Superseded:
		return fmt.Sprintf("%s, and the rollout was %s before it took the new bundle: it keeps what it has", let, e.state.Phase)
	case rollout.Reverting, rollout.Reverted:
		return let + ", and the rollout is taken back: it has what was stable before, or goes back to it"
	case rollout.Completed:
		return let + "; when the rollout was over it had yet to take the new bundle, which is what is stable now"
	case rollout.Paused:
		return fmt.Sprintf("%s; it has yet to take the new bundle, and does not while the rollout is paused (%s)", let, e.state.Reason)
	}
	if e.p.Word == rollout.Waiting {
		return let + "; it has yet to take the new bundle, and does not while the window of the rollout is closed: nobody waits for it"
	}
	if why := e.refusal(); why != "" {
		return let + ", and it refuses the new bundle: " + why
	}
	return let + "; it has yet to take the new bundle"
}

// refusal is why the node does not take the candidate.
func (e explaining) refusal() string {
	for _, r := range e.says.refusals {
		if r.What == e.state.Candidate {
			return cmp.Or(r.Detail, r.Name)
		}
	}
	return ""
}

// outside is said of a node whose turn has not come.
func (e explaining) outside() (rollout.Word, string) {
	has := e.state.Phase == rollout.Completed && e.says.bundle == e.state.Candidate
	if e.stages == 0 {
		switch {
		case has:
			return rollout.Ineligible, "it meets the condition of no stage, and has the new bundle since the rollout is over"
		case e.state.Phase.Over() || e.state.Phase == rollout.Aborted || e.state.Phase == rollout.Reverting:
			return rollout.Ineligible, fmt.Sprintf("it meets the condition of no stage, and the rollout is %s", e.state.Phase)
		}
		return rollout.Ineligible, "it meets the condition of no stage: it is given the new bundle when the rollout is over"
	}
	if has {
		return rollout.Pending, "it has the new bundle since the rollout is over"
	}
	for i, st := range e.state.Spec.Stages {
		if i >= e.state.Stage && e.stages&(1<<i) != 0 && (e.state.Phase == rollout.Running || e.state.Phase == rollout.Paused) {
			return rollout.Pending, fmt.Sprintf("its turn is yet to come: stage %s, at place %.1f %% of the order; the rollout is %s (%s) in stage %s", st.Name,
				float64(rollout.BucketOf(e.state.Salt, e.node))/float64(rollout.Everyone)*100, e.state.Phase, e.state.Reason, e.state.Spec.Stages[min(e.state.Stage, len(e.state.Spec.Stages)-1)].Name)
		}
	}
	return rollout.Pending, fmt.Sprintf("its turn did not come: the rollout is %s (%s)", e.state.Phase, e.state.Reason)
}
