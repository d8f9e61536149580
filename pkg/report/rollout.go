package report

import (
	"time"

	"vigo.dev/pkg/rollout"
)

// RolloutStatus is how far a rollout is.
type RolloutStatus struct {
	Channel   string `json:"channel"`
	ID        string `json:"id"`
	Stable    string `json:"stable"`    // digests
	Candidate string `json:"candidate"` //
	Commit    string `json:"commit,omitempty"`
	// Deadline is how long a stage may take, counted while it may proceed.
	Deadline time.Duration        `json:"deadline,omitempty"`
	Phase    rollout.Phase        `json:"phase"`
	Reason   rollout.Reason       `json:"reason"`
	Detail   string               `json:"detail,omitempty"`
	By       string               `json:"by,omitempty"`
	Began    time.Time            `json:"began"`
	Since    time.Time            `json:"since"`
	Stages   []RolloutStage       `json:"stages"`
	Counts   map[rollout.Word]int `json:"counts"`
	Log      []rollout.Transition `json:"log,omitempty"`     // newest first
	Waiting  bool                 `json:"waiting,omitempty"` // a newer bundle waits for its end
}

// RolloutStage is one stage of it.
type RolloutStage struct {
	Name     string        `json:"name"`
	State    string        `json:"state"`          // waiting, open, passed or skipped
	When     string        `json:"when,omitempty"` // condition over labels; empty: every node
	Size     string        `json:"size,omitempty"` // as policy says it
	Members  int           `json:"members,omitempty"`
	Healthy  int           `json:"healthy,omitempty"` // when its gate was looked at last
	Soak     time.Duration `json:"soak,omitempty"`    // how long a node must have been well
	Success  float64       `json:"success,omitempty"` // percent of the members that must be
	Began    time.Time     `json:"began,omitzero"`
	Ended    time.Time     `json:"ended,omitzero"`
	Used     time.Duration `json:"used,omitempty"` // of the deadline
	Approved []string      `json:"approved,omitempty"`
	Needs    int           `json:"needs,omitempty"` // approvals
	By       []string      `json:"by,omitempty"`    // who may approve; empty: whoever may operate
	// Answers are what webhooks said that were asked about it, by their names.
	Answers map[string]rollout.Answer `json:"answers,omitempty"`
}

// RolloutNodes are nodes of a rollout by their names, as far as they were asked for.
type RolloutNodes struct {
	Matched int           `json:"matched"`
	Nodes   []RolloutNode `json:"nodes"`
}

// RolloutNode is where one node is in the rollout of its channel, and why.
type RolloutNode struct {
	Node     string           `json:"node"`
	Channel  string           `json:"channel"`
	Word     rollout.Word     `json:"word"`
	Text     string           `json:"text"` // why, in a sentence
	Stage    string           `json:"stage,omitempty"`
	Member   []string         `json:"member,omitempty"` // stages whose gate looks at it
	Bundle   string           `json:"bundle,omitempty"`
	Bucket   rollout.Bucket   `json:"bucket"`
	Place    rollout.Decision `json:"-"`
	Progress rollout.Progress `json:"progress"`
}
