package reporting

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// Roll implements api.Rollouts.
func (s *Service) Roll(ctx context.Context, plan api.RolloutPlan) (rollout.Signed, error) {
	if err := plan.Spec.Validate(); err != nil || plan.Channel != plan.Spec.Channel {
		return rollout.Signed{}, api.Refuse(api.ErrBadRequest, "the plan of channel %.80q: %v", plan.Channel, err)
	}
	docs, err := s.DB.RolloutDocs(ctx, plan.Channel, planDoc)
	if err != nil {
		return rollout.Signed{}, kept(err)
	}
	if doc := encoded(plan); string(docs[planDoc]) != string(doc) {
		if err := s.DB.PutRollout(ctx, plan.Channel, map[string][]byte{planDoc: doc}); err != nil {
			return rollout.Signed{}, kept(err)
		}
		if err := s.tickRollouts(ctx); err != nil { // does nothing where another service leads
			return rollout.Signed{}, err
		}
	}
	state, err := s.rolloutOf(ctx, plan.Channel)
	if err != nil {
		return rollout.Signed{}, err
	}
	switch says := state.Signed(); {
	case state.ID == "" || state.Phase == rollout.Completed && plan.Stable.Digest == state.Candidate:
		return rollout.Signed{Stable: plan.Stable.Digest}, nil
	default:
		return says, nil
	}
}

// rolloutOf reads how far the rollout of a channel is, without its nodes.
func (s *Service) rolloutOf(ctx context.Context, channel string) (rollout.State, error) {
	var state rollout.State
	docs, err := s.DB.RolloutDocs(ctx, channel, headDoc)
	if err != nil {
		return state, kept(err)
	}
	if doc := docs[headDoc]; doc != nil {
		if err := json.Unmarshal(doc, &state); err != nil {
			return state, fmt.Errorf("reading the rollout of %s: %w", channel, err)
		}
	}
	return state, nil
}

// Rollouts implements api.Rollouts.
func (s *Service) Rollouts(ctx context.Context, channel string, log int) ([]report.RolloutStatus, error) {
	channels, err := s.DB.RolloutChannels(ctx)
	if err != nil {
		return nil, kept(err)
	}
	list := []report.RolloutStatus{}
	for _, name := range channels {
		if channel != "" && name != channel {
			continue
		}
		state, err := s.rolloutOf(ctx, name)
		if err != nil {
			return nil, err
		}
		if state.ID == "" {
			continue
		}
		status, err := s.rolloutStatus(ctx, name, state, log)
		if err != nil {
			return nil, err
		}
		list = append(list, status)
	}
	if channel != "" && len(list) == 0 {
		return nil, noRollout(channel)
	}
	return list, nil
}

func (s *Service) rolloutStatus(ctx context.Context, channel string, state rollout.State, log int) (report.RolloutStatus, error) {
	plan, err := s.planOf(ctx, channel)
	if err != nil {
		return report.RolloutStatus{}, err
	}
	commit, err := s.commitOf(ctx, channel, state)
	if err != nil {
		return report.RolloutStatus{}, kept(err)
	}
	if plan.Candidate.Digest == state.Candidate {
		commit = cmp.Or(plan.Candidate.Commit, commit)
	}
	out := statusOf(channel, state, commit)
	out.Waiting = plan.Candidate.Digest != state.Candidate && !state.Phase.Over()
	if log <= 0 {
		return out, nil
	}
	docs, err := s.DB.RolloutDocs(ctx, channel, logPrefix)
	if err != nil {
		return out, kept(err)
	}
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(docs))) {
		var t rollout.Transition
		if json.Unmarshal(docs[key], &t) == nil {
			out.Log = append(out.Log, t)
		}
	}
	slices.SortStableFunc(out.Log, func(a, b rollout.Transition) int { return b.At.Compare(a.At) })
	out.Log = out.Log[:min(len(out.Log), log)]
	return out, nil
}

func (s *Service) planOf(ctx context.Context, channel string) (plan api.RolloutPlan, err error) {
	docs, err := s.DB.RolloutDocs(ctx, channel, planDoc)
	if err == nil && docs[planDoc] != nil {
		err = json.Unmarshal(docs[planDoc], &plan)
	}
	return plan, kept(err)
}

// CommandRollout implements api.Rollouts.
func (s *Service) CommandRollout(ctx context.Context, channel string, c rollout.Command, role string) (report.RolloutStatus, error) {
	state, err := s.rolloutOf(ctx, channel)
	if err != nil {
		return report.RolloutStatus{}, err
	}
	if err := may(state, c, role); err != nil {
		return report.RolloutStatus{}, err
	}
	key := commandPrefix + s.Now().UTC().Format(time.RFC3339Nano) + "-" + strings.ToLower(rand.Text()[:6])
	act := audit.By(ctx, audit.RolloutCommanded, channel, map[string]string{"do": string(c.Do), "stage": c.Stage, "rollout": state.ID})
	if err := s.DB.PutRolloutOf(ctx, channel, map[string][]byte{key: encoded(c)}, s.Now(), act); err != nil {
		return report.RolloutStatus{}, kept(err)
	}
	if err := s.tickRollouts(ctx); err != nil {
		return report.RolloutStatus{}, err
	}
	list, err := s.Rollouts(ctx, channel, 5)
	if err != nil {
		return report.RolloutStatus{}, err
	}
	return list[0], nil
}

// may says whether a command can be given now, and by them.
func may(state rollout.State, c rollout.Command, role string) error {
	wrong := func(what string) error {
		return api.Refuse(api.ErrConflict, "the rollout is %s (%s): %s", cmp.Or(string(state.Phase), "not there"), state.Reason, what)
	}
	active := state.Phase == rollout.Running || state.Phase == rollout.Paused
	switch c.Do {
	case rollout.DoPause:
		if state.Phase != rollout.Running {
			return wrong("only one that runs can be paused")
		}
	case rollout.DoResume:
		if state.Phase != rollout.Paused {
			return wrong("only one that is paused can be resumed")
		}
	case rollout.DoAbort:
		if !active {
			return wrong("there is nothing to abort")
		}
	case rollout.DoRevert:
		if !active && state.Phase != rollout.Aborted {
			return wrong("there is nothing to take back")
		}
	case rollout.DoApprove:
		if !active {
			return wrong("nothing waits for an approval")
		}
		return mayApprove(state, c, role)
	default:
		return api.Refuse(api.ErrBadRequest, "%.40q is no command", c.Do)
	}
	return nil
}

func mayApprove(state rollout.State, c rollout.Command, role string) error {
	i := state.Stage
	if c.Stage != "" {
		i = slices.IndexFunc(state.Spec.Stages, func(st rollout.Stage) bool { return st.Name == c.Stage })
	}
	if i < state.Stage || i >= len(state.Spec.Stages) {
		return api.Refuse(api.ErrConflict, "there is no stage %.80q that could wait for an approval", c.Stage)
	}
	if a := state.Spec.Stages[i].Approve; a.OnlyCommits {
		return api.Refuse(api.ErrForbidden, "stage %s is approved by signed commits to %s only", state.Spec.Stages[i].Name, a.File)
	}
	if err := nothingMissing(state, i); err != nil {
		return err
	}
	by := state.Spec.Stages[i].Approve.By
	if len(by) > 0 && !slices.Contains(by, c.By) && !slices.Contains(by, role) {
		return api.Refuse(api.ErrForbidden, "stage %s is approved by %s, and not by %s", state.Spec.Stages[i].Name, strings.Join(by, ", "), c.By)
	}
	return nil
}

// nothingMissing refuses an approval of a stage that needs no more, so that nobody believes to have agreed to the next one.
func nothingMissing(state rollout.State, i int) error {
	missing := func(i int) bool { return len(state.Stages[i].Approved) < state.Spec.Stages[i].Approve.Count }
	if missing(i) {
		return nil
	}
	refusal := api.Refuse(api.ErrConflict, "stage %s needs no approval", state.Spec.Stages[i].Name)
	if state.Spec.Stages[i].Approve.Count > 0 {
		refusal = api.Refuse(api.ErrConflict, "stage %s has been approved by %s, and needs no more", state.Spec.Stages[i].Name, strings.Join(state.Stages[i].Approved, ", "))
	}
	for next := i + 1; next < len(state.Stages); next++ {
		if missing(next) {
			refusal.Advice = fmt.Sprintf("stage %[1]s will need one: --stage %[1]s agrees to it before its time", state.Spec.Stages[next].Name)
			break
		}
	}
	return refusal
}

// ExplainRollout implements api.Rollouts.
func (s *Service) ExplainRollout(ctx context.Context, name string) (report.RolloutNode, error) {
	s.mu.Lock()
	n, err := s.active(name)
	if err != nil {
		s.mu.Unlock()
		return report.RolloutNode{}, err
	}
	channel, bundle, labels, seen := s.channelOf(n), n.account.Last.Bundle, n.Labels, n.seen
	live := n.live(s.Now())
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
	out := report.RolloutNode{Node: name, Channel: channel, Bundle: bundle, Bucket: rollout.BucketOf(state.Salt, name)}
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
	stages := m.of(&state.Spec, name, labels, s.Now())
	if out.Progress.Word == "" && stages != 0 && !live { // nothing is remembered of nodes that were never drawn
		out.Progress.Word = rollout.Offline
	}
	out.Word, out.Text = explain(state, out.Progress, stages, name, seen, s.Now())
	placed(&out, state)
	return out, nil
}

// explain says in a sentence where a node is.
func explain(state rollout.State, p rollout.Progress, stages uint32, name string, seen, now time.Time) (rollout.Word, string) {
	stage := "a stage"
	if p.Stage < len(state.Spec.Stages) {
		stage = "stage " + state.Spec.Stages[p.Stage].Name
	}
	since := func(t time.Time) string { return now.Sub(t).Round(time.Second).String() }
	switch p.Word {
	case rollout.Healthy:
		return p.Word, fmt.Sprintf("it has the new bundle by %s and has been well for %s", stage, since(p.Good))
	case rollout.Applied:
		if p.Await != "" {
			return p.Word, fmt.Sprintf("it has the new bundle by %s; its machine was started anew, and it has yet to show a run since", stage)
		}
		if p.Good.IsZero() {
			return p.Word, fmt.Sprintf("it has the new bundle by %s; it has yet to show that it is well", stage)
		}
		return p.Word, fmt.Sprintf("it has the new bundle by %s and is watched: well for %s, in %d reports or more", stage, since(p.Good), p.Reports)
	case rollout.Failed:
		if p.Check != "" {
			return p.Word, fmt.Sprintf("it has the new bundle by %s, and the check %s does not hold", stage, p.Check)
		}
		return p.Word, fmt.Sprintf("it has the new bundle by %s, and its last run failed", stage)
	case rollout.Lost:
		return p.Word, fmt.Sprintf("it took the new bundle by %s and has been silent for %s", stage, since(seen))
	case rollout.SelfReverted:
		return p.Word, "it could not run the new bundle, and went back by itself"
	case rollout.Adopting:
		return p.Word, fmt.Sprintf("it said that it is about to take the new bundle, by %s", stage)
	case rollout.Admitted:
		return p.Word, fmt.Sprintf("%s has let it in; it has yet to take the new bundle", stage)
	case rollout.Offline:
		if seen.IsZero() {
			return p.Word, "it has never been heard of: nobody waits for it"
		}
		return p.Word, fmt.Sprintf("it has been silent for %s, since before it took the new bundle: nobody waits for it", since(seen))
	case rollout.Waiting, rollout.Pinned:
		return p.Word, "it is excused"
	}
	if stages == 0 {
		return rollout.Ineligible, "it meets the condition of no stage"
	}
	for i, st := range state.Spec.Stages {
		if i >= state.Stage && stages&(1<<i) != 0 {
			return rollout.Pending, fmt.Sprintf("its turn is yet to come: stage %s, at place %.1f %% of the order; the rollout is %s (%s) in stage %s", st.Name,
				float64(rollout.BucketOf(state.Salt, name))/float64(rollout.Everyone)*100, state.Phase, state.Reason, state.Spec.Stages[min(state.Stage, len(state.Spec.Stages)-1)].Name)
		}
	}
	return rollout.Pending, fmt.Sprintf("the rollout is %s", state.Phase)
}
