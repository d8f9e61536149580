package fleetsim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// Rollout is what nodes made of the pointers there were, and what the service says of the last rollout that was under way.
type Rollout struct {
	Pointers int `json:"pointers"` // that were read from the registry and verified; one look each second is for all nodes
	Unread   int `json:"unread"`   // looks without an answer, or with one that does not verify
	Off      int `json:"off"`      // nodes that were off all the time
	Dead     int `json:"dead"`     // that announced a candidate and were not heard of again
	// Has is how many nodes ended with each bundle, by its digest; those that died are of none.
	Has map[string]int `json:"has"`
	// Status is the rollout, with what people were told of it, newest first; nil: none was under way.
	Status *report.RolloutStatus `json:"status,omitempty"`
}

// maxLog is how many entries of a rollout are asked for; a service keeps that many.
const maxLog = 1000

// watch sees when rollouts begin, and when one is over, until ctx ends.
func (s *Sim) watch(ctx context.Context) {
	if !s.Rollout && len(s.Fates.Cuts) == 0 {
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	first, ended := "", false
	for looked := false; ; {
		st, err := s.status(ctx, 0)
		if err == nil {
			if !looked && st != nil && !moves(st.Phase) {
				first = st.ID // was over before
			}
			looked = true
			if st != nil && st.ID != first {
				s.started.Store(&st.Began)
				if !ended && !moves(st.Phase) {
					ended = true
					close(s.over)
				}
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// moves says whether something follows by itself.
func moves(p rollout.Phase) bool { return p == rollout.Running || p == rollout.Reverting }

// status is the last rollout of the channel of the nodes; nil: there was none.
func (s *Sim) status(ctx context.Context, log int) (*report.RolloutStatus, error) {
	list, err := s.People.Rollouts(ctx, s.nodes[0].channel, log)
	if errors.Is(err, api.ErrNotFound) || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking how far the rollout is: %w", err)
	}
	return &list[0], nil
}

// rolledOut is what came of it in the end.
func (s *Sim) rolledOut(ctx context.Context) (out Rollout, err error) {
	for _, f := range s.followed {
		out.Pointers += int(f.reads.Load())
		out.Unread += int(f.unread.Load())
	}
	out.Has = map[string]int{}
	for _, n := range s.nodes {
		switch {
		case n.agent.Fate.Off:
			out.Off++
		case n.agent.Dead():
			out.Dead++
		default:
			out.Has[n.agent.Has()]++
		}
	}
	st, err := s.status(ctx, maxLog)
	if st != nil && (moves(st.Phase) || st.Since.After(s.began)) {
		out.Status = st
	}
	return out, err
}
