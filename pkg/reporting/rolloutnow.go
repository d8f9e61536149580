package reporting

import (
	"context"
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"vigo.dev/pkg/rollout"
)

// rolloutHeads reads the last rollout of each channel, without its nodes.
func (s *Service) rolloutHeads(ctx context.Context) (map[string]rollout.State, error) {
	channels, err := s.DB.RolloutChannels(ctx)
	if err != nil {
		return nil, err
	}
	heads := map[string]rollout.State{}
	for _, name := range channels {
		state, err := s.rolloutOf(ctx, name)
		if err != nil {
			return nil, err
		}
		if state.ID != "" {
			heads[name] = state
		}
	}
	return heads, nil
}

// rollingNow says of each channel in one line how far its rollout is. What cannot be read is left out: the status has more to say.
func (s *Service) rollingNow(ctx context.Context) map[string]string {
	lines := map[string]string{}
	heads, err := s.rolloutHeads(ctx)
	if err != nil {
		s.Log.Debug("reading the rollouts for the status", "err", err)
	}
	for name, state := range heads {
		if state.Phase.Over() {
			continue
		}
		stage := state.Spec.Stages[min(state.Stage, len(state.Spec.Stages)-1)].Name
		switch {
		case state.Phase != rollout.Running:
			lines[name] = fmt.Sprintf("%s %s: %s", stage, strings.ToUpper(string(state.Phase)), state.Reason)
		case state.Detail != "":
			lines[name] = fmt.Sprintf("%s %s, %s", stage, state.Reason, state.Detail)
		default:
			lines[name] = fmt.Sprintf("%s %s", stage, state.Reason)
		}
	}
	return lines
}

// rolloutCollector says how far the rollouts are, when it is asked. What cannot be read is left out: a store that cannot be read
// shows in /readyz and in vigo_report_store_failing.
type rolloutCollector struct{ s *Service }

// Describe implements prometheus.Collector.
func (c *rolloutCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *rolloutCollector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	heads, err := c.s.rolloutHeads(ctx)
	if err != nil {
		return
	}
	for channel, state := range heads {
		for _, phase := range rollout.Phases() {
			value := 0.0
			if phase == state.Phase {
				value = 1
			}
			gauge(ch, describe("rollout_phase", "1 for the phase that the last rollout of the channel is in.", "channel", "phase"), value, channel, string(phase))
		}
		for _, word := range rollout.Words() {
			gauge(ch, describe("rollout_nodes", "Nodes by where they are in the last rollout of the channel.", "channel", "word"), float64(state.Counts[word]), channel, string(word))
		}
		gauge(ch, describe("rollout_stage", "How many stages of the last rollout of the channel are over.", "channel"), float64(state.Stage), channel)
		gauge(ch, describe("rollout_stages", "How many stages the last rollout of the channel has.", "channel"), float64(len(state.Stages)), channel)
		gauge(ch, describe("rollout_began_timestamp_seconds", "When the last rollout of the channel began.", "channel"), float64(state.Began.Unix()), channel)
		gauge(ch, describe("rollout_since_timestamp_seconds", "Since when it has been in its phase, for the reason it is.", "channel"), float64(state.Since.Unix()), channel)
		missing := 0
		if state.Phase == rollout.Running && state.Reason == rollout.WaitingApproval {
			missing = max(0, state.Spec.Stages[state.Stage].Approve.Count-len(state.Stages[state.Stage].Approved))
		}
		gauge(ch, describe("rollout_approvals_missing", "How many people have yet to agree before its next stage begins.", "channel"), float64(missing), channel)
	}
}
