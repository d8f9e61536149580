package vigocmd

import (
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/rollout/sim"
)

// snapshotFile is what is known of the nodes of a channel, as people and jobs write it.
type snapshotFile struct {
	Now   time.Time      `json:"now"` // zero: the clock
	Blind bool           `json:"blind"`
	Nodes []snapshotNode `json:"nodes"`
	// Unsure are checks that cannot be looked at, and why.
	Unsure map[string]string `json:"unsure"`
	// Answers are what those say who are asked at the gate, by their names.
	Answers map[string]rollout.Answer `json:"answers"`
}

// answers are those to the questions that are open.
func (f snapshotFile) answers(state rollout.State) (list []rollout.Answer) {
	for _, q := range state.Questions() {
		if a, said := f.Answers[q.Of]; said {
			list = append(list, rollout.Answer{Rollout: q.Rollout, Stage: q.Stage, Of: q.Of, Asked: q.Asked, Verdict: a.Verdict, Reason: a.Reason, At: f.Now})
		}
	}
	return list
}

type snapshotNode struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"`
	Seen        time.Time         `json:"seen"` // its last report
	Interval    string            `json:"interval"`
	Bundle      string            `json:"bundle"`
	Adopting    string            `json:"adopting"`
	Failed      int               `json:"failed"`
	Waiting     int               `json:"waiting"`
	Bad         []string          `json:"bad"` // names of checks that do not hold
	Aside       bool              `json:"aside"`
	Pinned      bool              `json:"pinned"`
	Maintained  bool              `json:"maintained"`
	Rebooting   bool              `json:"rebooting"`
	Unconfirmed bool              `json:"unconfirmed"`
	Dark        bool              `json:"dark"`
}

// maxSnapshot is how large the file may be.
const maxSnapshot = 1 << 30

func readSnapshot(path string) (shot snapshotFile, err error) {
	f, err := os.Open(path)
	if err != nil {
		return shot, fmt.Errorf("reading the snapshot: %w", err)
	}
	defer f.Close() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxSnapshot+1))
	switch {
	case err != nil:
		return shot, fmt.Errorf("reading the snapshot: %w", err)
	case len(data) > maxSnapshot:
		return shot, fmt.Errorf("reading the snapshot: %s is larger than %d bytes", path, maxSnapshot)
	}
	if err := strictly(data, &shot); err != nil {
		return shot, fmt.Errorf("reading the snapshot %s: %w", path, err)
	}
	if len(shot.Nodes) > sim.MostNodes {
		return shot, fmt.Errorf("reading the snapshot %s: there are more than %d nodes", path, sim.MostNodes)
	}
	return shot, nil
}

// of is the snapshot for a rollout by spec.
func (f snapshotFile) of(spec rollout.Spec) (rollout.Snapshot, error) {
	in := rollout.Snapshot{Now: f.Now, Blind: f.Blind, Unsure: f.Unsure, Nodes: make([]rollout.Node, 0, len(f.Nodes))}
	conds, err := stageConditions(spec)
	if err != nil {
		return in, err
	}
	seen := make(map[string]bool, len(f.Nodes))
	for i, n := range f.Nodes {
		if n.Name == "" || seen[n.Name] {
			return in, fmt.Errorf("nodes[%d]: it needs a name of its own", i)
		}
		seen[n.Name] = true
		m, err := memberOf(n.Name, n.Labels, spec, conds)
		if err != nil {
			return in, err
		}
		interval, err := time.ParseDuration(n.Interval)
		if err != nil || interval < time.Second {
			return in, fmt.Errorf("node %s: interval: %q is not a time of at least a second, such as 30s", n.Name, n.Interval)
		}
		known := rollout.Node{ID: n.Name, Stages: m.Stages, Seen: n.Seen, Interval: interval, Live: !n.Seen.IsZero() && f.Now.Sub(n.Seen) <= 3*interval, Dark: n.Dark,
			Digest: n.Bundle, Adopting: n.Adopting, Failed: n.Failed, Waiting: n.Waiting, PutAside: n.Aside, Pinned: n.Pinned, Muted: n.Maintained,
			Rebooting: n.Rebooting, Unconfirmed: n.Unconfirmed}
		for _, name := range n.Bad {
			at := slices.IndexFunc(spec.Checks, func(c rollout.Check) bool { return c.Name == name })
			if at < 0 {
				return in, fmt.Errorf("node %s: the rollout has no check %q", n.Name, name)
			}
			known.Bad |= 1 << at
		}
		in.Nodes = append(in.Nodes, known)
	}
	return in, nil
}
