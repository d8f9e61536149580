package reporting

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/rollout"
)

// takePlan begins what the controller wants, if it is another bundle than the one under way and that one yields. It returns what
// is to be told of the end of that one.
func (s *Service) takePlan(ctx context.Context, c *rolling, now time.Time) (told []rollout.Transition, err error) {
	docs, err := s.DB.RolloutDocs(ctx, c.channel, planDoc)
	if err != nil {
		return nil, err
	}
	doc := docs[planDoc]
	if doc == nil {
		return nil, nil
	}
	var plan api.RolloutPlan
	if err := json.Unmarshal(doc, &plan); err != nil {
		return nil, fmt.Errorf("reading what is to be rolled out on %s: %w", c.channel, err)
	}
	c.meets.use(plan)
	c.plan = plan
	known := c.state.ID != ""
	if back := plan.Stable.Digest; back == plan.Candidate.Digest && known && c.state.Phase == rollout.Running && back == c.state.Stable {
		var t rollout.Transition
		c.state, t = c.state.Unwanted(now)
		return []rollout.Transition{t}, nil
	}
	if plan.Stable.Digest == plan.Candidate.Digest || known && (c.state.Candidate == plan.Candidate.Digest || !c.state.Yields()) {
		return nil, nil
	}
	var prev *rollout.State
	stable := plan.Stable.Digest
	if known {
		over, end := c.state.Supersede("", now)
		if !c.state.Phase.Over() {
			told = append(told, end)
			c.over = &pastRollout{State: over, Commit: c.commit}
		}
		prev = &over
		if c.state.Phase == rollout.Completed {
			stable = c.state.Candidate // the controller will have published it by now, or does with the next pointer
		}
	}
	id := fmt.Sprintf("%s-%s-%d", c.channel, short(plan.Candidate.Digest), now.Unix())
	c.state, c.commit = rollout.Begin(id, plan.Spec, stable, plan.Candidate.Digest, prev, now), plan.Candidate.Commit
	c.meets = meets{id: plan.Candidate.Digest, labels: plan.Labels} // what is known is of the stages before
	told = append(told, c.state.Beginning(begunBy(plan.Candidate)))
	if prev == nil {
		var more []rollout.Transition
		c.state, more = c.state.Shown(plan.Shown, now)
		told = append(told, more...)
	}
	s.Log.Info("a rollout begins", "channel", c.channel, "rollout", id, "candidate", plan.Candidate.Digest, "commit", plan.Candidate.Commit)
	return told, nil
}

// unstaged ends a rollout that the controller has given up, as when its file was removed: its pointer, which is newer than the rollout,
// has no candidate, and names something else than what was stable, or has shown the candidate before. It returns what is to be told.
func (s *Service) unstaged(c *rolling, now time.Time) []rollout.Transition {
	s.mu.Lock()
	note := s.channels[c.channel]
	s.mu.Unlock()
	if c.state.ID == "" || c.state.Phase.Over() || !note.Since.After(c.state.Began) || note.Candidate != "" || note.Digest == "" ||
		note.Digest == c.state.Stable && note.Dropped != c.state.Candidate {
		return nil
	}
	over, end := c.state.Unstage(now)
	c.state = over
	return []rollout.Transition{end}
}
