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
	state, err := s.rolloutOf(ctx, plan.Channel)
	if err != nil {
		return rollout.Signed{}, err
	}
	if state.ID != "" {
		plan.Shown = rollout.Signed{} // it is what this service said
	}
	if doc := encoded(plan); string(docs[planDoc]) != string(doc) {
		if err := s.DB.PutRollout(ctx, plan.Channel, map[string][]byte{planDoc: doc}); err != nil {
			return rollout.Signed{}, kept(err)
		}
		if err := s.tickRollouts(ctx); err != nil { // does nothing where another service leads
			return rollout.Signed{}, err
		}
	}
	if state, err = s.rolloutOf(ctx, plan.Channel); err != nil {
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
