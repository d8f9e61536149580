package reporting

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// maxPast is how many rollouts are remembered of a channel.
const maxPast = 100

// pastRollout is a rollout as it was when people were told of it last; the newest may be under way.
type pastRollout struct {
	State  rollout.State `json:"state"` // without its nodes
	Commit string        `json:"commit,omitempty"`
}

// key names it in the store. Keys are in the order in which rollouts began.
func (p pastRollout) key() string { return pastKey(p.State.Began) }

func pastKey(began time.Time) string { return fmt.Sprintf("%s%020d", pastPrefix, began.UnixNano()) }

// begunBy says of what a rollout is.
func begunBy(candidate bundle.Target) string {
	if candidate.Commit == "" {
		return "bundle " + short(candidate.Digest)
	}
	return "commit " + candidate.Commit[:min(12, len(candidate.Commit))]
}

// keepPast adds the documents of a rollout that people are told something of, and of the one it takes the place of. The oldest
// are removed when there are too many.
func (s *Service) keepPast(ctx context.Context, c *rolling, docs map[string][]byte, told bool) error {
	over := c.over
	c.over = nil
	if !told {
		return nil
	}
	for _, p := range []*pastRollout{over, {State: c.state, Commit: c.commit}} {
		if p != nil {
			p.State.Nodes = nil
			docs[p.key()] = encoded(p)
		}
	}
	known, err := s.DB.RolloutDocs(ctx, c.channel, pastPrefix)
	if err != nil {
		return err
	}
	keys := slices.Sorted(maps.Keys(known))
	for _, key := range keys[:max(0, len(keys)+1-maxPast)] {
		if docs[key] == nil {
			docs[key] = nil
		}
	}
	return nil
}

// commitOf is the commit that a rollout is of; empty: it is not known.
func (s *Service) commitOf(ctx context.Context, channel string, state rollout.State) (string, error) {
	if state.ID == "" {
		return "", nil
	}
	key := pastKey(state.Began)
	docs, err := s.DB.RolloutDocs(ctx, channel, key)
	if err != nil || docs[key] == nil {
		return "", err
	}
	var p pastRollout
	if err := json.Unmarshal(docs[key], &p); err != nil {
		return "", fmt.Errorf("reading the rollouts of %s before: %w", channel, err)
	}
	return p.Commit, nil
}

// RolloutHistory implements api.RolloutRecords.
func (s *Service) RolloutHistory(ctx context.Context, channel string, limit int) ([]report.RolloutStatus, error) {
	list := []report.RolloutStatus{}
	docs, err := s.DB.RolloutDocs(ctx, channel, pastPrefix)
	if err != nil {
		return nil, kept(err)
	}
	keys := slices.Sorted(maps.Keys(docs))
	slices.Reverse(keys)
	for _, key := range keys[:min(len(keys), max(0, limit))] {
		var p pastRollout
		if err := json.Unmarshal(docs[key], &p); err != nil {
			return nil, fmt.Errorf("reading the rollouts of %s before: %w", channel, err)
		}
		list = append(list, statusOf(channel, p.State, p.Commit))
	}
	if len(list) == 0 && limit > 0 {
		return nil, noRollout(channel)
	}
	return list, nil
}

func noRollout(channel string) error {
	return api.Refuse(api.ErrNotFound, "there was no rollout on channel %.80q", channel)
}

// RolloutNodes implements api.RolloutRecords.
func (s *Service) RolloutNodes(ctx context.Context, channel string, word rollout.Word, limit int) (report.RolloutNodes, error) {
	out := report.RolloutNodes{Nodes: []report.RolloutNode{}}
	if word != "" && !slices.Contains(rollout.Words(), word) {
		return out, api.Refuse(api.ErrBadRequest, "%.40q is none of the words of nodes: %s", word, joined(rollout.Words()))
	}
	state, err := s.rolloutOf(ctx, channel)
	if err != nil {
		return out, err
	}
	if state.ID == "" {
		return out, noRollout(channel)
	}
	part := `"word":`
	if word != "" {
		part += strconv.Quote(string(word))
	}
	docs, matched, err := s.DB.RolloutDocsWith(ctx, channel, nodePrefix, part, max(1, limit))
	if err != nil {
		return out, kept(err)
	}
	out.Matched = matched
	for _, doc := range docs[:min(len(docs), max(0, limit))] {
		name := strings.TrimPrefix(doc.Key, nodePrefix)
		n := report.RolloutNode{Node: name, Channel: channel, Bucket: rollout.BucketOf(state.Salt, name)}
		if err := json.Unmarshal(doc.Doc, &n.Progress); err != nil {
			return out, fmt.Errorf("reading the rollout of %s: %w", channel, err)
		}
		n.Word, n.Text = explaining{state: state, p: n.Progress, stages: ^uint32(0), node: name, says: s.lastOf(name), now: s.Now()}.text()
		placed(&n, state)
		out.Nodes = append(out.Nodes, n)
	}
	return out, nil
}

func joined[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = string(one)
	}
	return strings.Join(texts, ", ")
}

// placed names the stages of a node: that which let it in, and those whose gate looks at it.
func placed(n *report.RolloutNode, state rollout.State) {
	for i, st := range state.Spec.Stages {
		if n.Progress.Members&(1<<i) != 0 {
			n.Member = append(n.Member, st.Name)
		}
	}
	if n.Progress.Admitted && n.Progress.Stage < len(state.Spec.Stages) {
		n.Stage = state.Spec.Stages[n.Progress.Stage].Name
	}
}

// eventOf is the kind of the event that is written of a transition; "": none is.
func eventOf(t rollout.Transition) string {
	switch {
	case t.From == "":
		return report.EventRolloutStarted
	case t.From == rollout.Paused && t.To == rollout.Running:
		return "rollout.resumed"
	case t.From != t.To:
		return "rollout." + string(t.To)
	case t.Reason == rollout.WaitingApproval:
		return report.EventRolloutApproval
	case t.Reason == rollout.WaitingGate:
		return "rollout.waiting-gate"
	case t.Reason == rollout.EvidenceBlind:
		return "rollout.evidence-blind"
	}
	return ""
}

// statusOf says of a state how far it is.
func statusOf(channel string, state rollout.State, commit string) report.RolloutStatus {
	out := report.RolloutStatus{Channel: channel, ID: state.ID, Stable: state.Stable, Candidate: state.Candidate, Commit: commit, Deadline: state.Spec.Deadline,
		Phase: state.Phase, Reason: state.Reason, Detail: state.Detail, By: state.By, Began: state.Began, Since: state.Since, Counts: state.Counts}
	for i, st := range state.Stages {
		spec := state.Spec.Stages[i]
		one := report.RolloutStage{Name: spec.Name, State: "waiting", When: spec.When, Size: spec.Size.String(), Members: st.Members, Healthy: st.Healthy,
			Soak: spec.Gate.Soak, Success: spec.Gate.Success, Began: st.Began, Ended: st.Ended, Used: st.Used,
			Approved: st.Approved, Needs: spec.Approve.Count, By: spec.Approve.By, Answers: st.Answers}
		switch {
		case st.Skipped:
			one.State = "skipped"
		case !st.Ended.IsZero():
			one.State = "passed"
		case !st.Began.IsZero():
			one.State = "open"
		}
		out.Stages = append(out.Stages, one)
	}
	return out
}
