package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/window"
)

// A RolloutPlan is what a controller wants to give to a channel, and how.
type RolloutPlan struct {
	Channel   string        `json:"channel"`
	Spec      rollout.Spec  `json:"spec"`
	Window    window.Window `json:"window,omitzero"` // zero: always open
	Stable    bundle.Target `json:"stable"`
	Candidate bundle.Target `json:"candidate"`
	// Labels are those that the policy in force grants to nodes, where they are not those of their enrolment.
	Labels map[string]map[string]string `json:"labels,omitempty"`
	// Consents are the stages to which people agreed by signed commits, for the candidate.
	Consents []rollout.Command `json:"consents,omitempty"`
	// Shown is what the pointer of the channel says now, for a service that knows nothing of the rollout under way.
	Shown rollout.Signed `json:"shown,omitzero"`
}

// Rollouts serves people and controllers: how channels are given what is new.
type Rollouts interface {
	// Roll takes what a controller wants to roll out, and returns what the pointer of the channel is to say now.
	Roll(ctx context.Context, plan RolloutPlan) (rollout.Signed, error)
	// Rollouts lists the last rollout of each channel, or of one, with so many entries of its log; [ErrNotFound].
	Rollouts(ctx context.Context, channel string, log int) ([]report.RolloutStatus, error)
	// CommandRollout gives a command to the rollout of a channel for somebody of a role; [ErrConflict] when it cannot be given now.
	CommandRollout(ctx context.Context, channel string, c rollout.Command, role string) (report.RolloutStatus, error)
	// ExplainRollout says where a node is in the rollout of its channel, and why; [ErrNotFound].
	ExplainRollout(ctx context.Context, node string) (report.RolloutNode, error)
}

// RolloutRecords serves people: the rollouts of a channel one after the other, and the nodes of the last.
type RolloutRecords interface {
	// RolloutHistory lists the rollouts of a channel, newest first, each as it was when people were told of it last;
	// [ErrNotFound].
	RolloutHistory(ctx context.Context, channel string, limit int) ([]report.RolloutStatus, error)
	// RolloutNodes lists the nodes that the last rollout of a channel has drawn, let in or given the candidate, by name: those of
	// a word, or all; [ErrNotFound].
	RolloutNodes(ctx context.Context, channel string, word rollout.Word, limit int) (report.RolloutNodes, error)
}

// MaxRolloutNodes is how many nodes of a rollout are listed at once, at most.
const MaxRolloutNodes = 1000

// RolloutCommand is what somebody wants of a rollout.
type RolloutCommand struct {
	Do    rollout.Do `json:"do"`
	Stage string     `json:"stage,omitempty"` // of an approval; empty: the one that waits
}

func (s *server) rolloutRoutes() []route {
	return []route{
		{"GET /v1/rollouts", "viewer", "How far rollouts are", []param{{name: "channel", about: "name of a channel"}, {name: "log", about: "how many transitions to list, at most 1000"}}, nil, []report.RolloutStatus{}, s.rollouts},
		{"PUT /v1/rollouts/{channel}", "publisher", "Take what is to be rolled out, and say what the pointer is to say", nil, RolloutPlan{}, rollout.Signed{}, s.roll},
		{"POST /v1/rollouts/{channel}", "operator", "Pause, resume, approve, abort or take back a rollout", nil, RolloutCommand{}, report.RolloutStatus{}, s.rolloutCommand},
		{"GET /v1/rollouts/{channel}/history", "viewer", "The rollouts of a channel, newest first", []param{{name: "limit", about: "how many, at most 100"}}, nil, []report.RolloutStatus{}, s.rolloutHistory},
		{"GET /v1/rollouts/{channel}/nodes", "viewer", "The nodes that a rollout has reached", []param{{name: "word", about: "such as failed; all without"}, {name: "limit", about: "how many, at most 1000"}}, nil, report.RolloutNodes{}, s.rolloutNodes},
		{"GET /v1/nodes/{name}/rollout", "viewer", "Where a node is in the rollout of its channel, and why", nil, nil, report.RolloutNode{}, s.explainRollout},
	}
}

func (s *server) rollouts(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Rollouts.Rollouts(r.Context(), r.URL.Query().Get("channel"), number(r, "log", 10, 1000))
}

func (s *server) rolloutHistory(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.RolloutRecords.RolloutHistory(r.Context(), r.PathValue("channel"), number(r, "limit", 20, 100))
}

func (s *server) rolloutNodes(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.RolloutRecords.RolloutNodes(r.Context(), r.PathValue("channel"), rollout.Word(r.URL.Query().Get("word")), number(r, "limit", 100, MaxRolloutNodes))
}

func (s *server) roll(w http.ResponseWriter, r *http.Request) (any, error) {
	var plan RolloutPlan
	if err := read(w, r, MaxNotes, &plan); err != nil {
		return nil, err
	}
	if plan.Channel != r.PathValue("channel") {
		return nil, Refuse(ErrBadRequest, "the plan is of channel %.80q", plan.Channel)
	}
	return s.Rollouts.Roll(r.Context(), plan)
}

func (s *server) rolloutCommand(w http.ResponseWriter, r *http.Request) (any, error) {
	var c RolloutCommand
	if err := read(w, r, MaxSmall, &c); err != nil {
		return nil, err
	}
	who := audit.CallerOf(r.Context())
	return s.Rollouts.CommandRollout(r.Context(), r.PathValue("channel"), rollout.Command{Do: c.Do, Stage: c.Stage, By: who.Name}, who.Role)
}

func (s *server) explainRollout(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.Rollouts.ExplainRollout(r.Context(), r.PathValue("name"))
}

// Roll tells what is to be rolled out, and returns what the pointer is to say.
func (c *OperatorClient) Roll(ctx context.Context, plan RolloutPlan) (rollout.Signed, error) {
	var says rollout.Signed
	err := c.do(ctx, http.MethodPut, "/v1/rollouts/"+url.PathEscape(plan.Channel), plan, &says)
	return says, err
}

// Rollouts lists the last rollout of each channel, or of one; [ErrNotFound].
func (c *OperatorClient) Rollouts(ctx context.Context, channel string, log int) ([]report.RolloutStatus, error) {
	var list []report.RolloutStatus
	err := c.do(ctx, http.MethodGet, "/v1/rollouts?"+url.Values{"channel": {channel}, "log": {strconv.Itoa(log)}}.Encode(), nil, &list)
	return list, err
}

// CommandRollout gives a command to the rollout of a channel; [ErrConflict] when it cannot be given now.
func (c *OperatorClient) CommandRollout(ctx context.Context, channel string, command RolloutCommand) (report.RolloutStatus, error) {
	var status report.RolloutStatus
	err := c.do(ctx, http.MethodPost, "/v1/rollouts/"+url.PathEscape(channel), command, &status)
	return status, err
}

// ExplainRollout says where a node is in the rollout of its channel, and why; [ErrNotFound].
func (c *OperatorClient) ExplainRollout(ctx context.Context, node string) (report.RolloutNode, error) {
	var n report.RolloutNode
	err := c.do(ctx, http.MethodGet, "/v1/nodes/"+url.PathEscape(node)+"/rollout", nil, &n)
	return n, err
}

// RolloutHistory lists the rollouts of a channel, newest first; [ErrNotFound].
func (c *OperatorClient) RolloutHistory(ctx context.Context, channel string, limit int) ([]report.RolloutStatus, error) {
	var list []report.RolloutStatus
	err := c.do(ctx, http.MethodGet, "/v1/rollouts/"+url.PathEscape(channel)+"/history?"+url.Values{"limit": {strconv.Itoa(limit)}}.Encode(), nil, &list)
	return list, err
}

// RolloutNodes lists the nodes that the last rollout of a channel has reached; [ErrNotFound].
func (c *OperatorClient) RolloutNodes(ctx context.Context, channel string, word rollout.Word, limit int) (report.RolloutNodes, error) {
	var list report.RolloutNodes
	err := c.do(ctx, http.MethodGet, "/v1/rollouts/"+url.PathEscape(channel)+"/nodes?"+url.Values{"word": {string(word)}, "limit": {strconv.Itoa(limit)}}.Encode(), nil, &list)
	return list, err
}
