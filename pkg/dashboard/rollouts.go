package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// Rollouts says how channels are given what is new.
type Rollouts interface {
	Rollouts(ctx context.Context, channel string, log int) ([]report.RolloutStatus, error)
	ExplainRollout(ctx context.Context, node string) (report.RolloutNode, error)
	api.RolloutRecords
}

// The limits of what is shown of one rollout.
const (
	showMoves   = 50 // of its log
	showPast    = 20 // rollouts before it
	showReached = 200
)

func (d *Dashboard) rollouts(r *http.Request, p *page) error {
	list, err := d.Rollouts.Rollouts(r.Context(), "", 0)
	if err != nil {
		return err
	}
	var rows []rolloutRow
	for _, one := range list {
		rows = append(rows, rolloutRow{one, p.Now})
	}
	slices.SortStableFunc(rows, func(a, b rolloutRow) int { return b.weight() - a.weight() })
	p.name, p.Title, p.Section, p.Body, p.Command = "rollouts", "Rollouts", "rollouts", rows, "vigo rollout status"
	return nil
}

// rolloutRow is a rollout at a time.
type rolloutRow struct {
	report.RolloutStatus
	Now time.Time
}

// weight is how much a rollout wants to be seen.
func (r rolloutRow) weight() int {
	switch {
	case r.Phase == rollout.Aborted, r.Phase == rollout.Paused:
		return 3
	case slices.Contains([]rollout.Reason{rollout.WaitingApproval, rollout.WaitingGate, rollout.CheckUnknown, rollout.EvidenceBlind, rollout.NoEligibleNodes}, r.Reason):
		return 2
	case !r.Phase.Over():
		return 1
	}
	return 0
}

// Link is where all about it is.
func (r rolloutRow) Link() string { return "/ui/rollouts/" + url.PathEscape(r.Channel) }

// Under is the stage that is under way, with its number; "": all are over.
func (r rolloutRow) Under() string {
	for _, st := range r.Stages {
		if st.State == "waiting" || st.State == "open" {
			return st.Name
		}
	}
	return ""
}

// For is how long it has been where it is.
func (r rolloutRow) For() time.Duration { return max(0, r.Now.Sub(r.Since)) }

// Total is how many nodes there are.
func (r rolloutRow) Total() (n int) {
	for _, count := range r.Counts {
		n += count
	}
	return n
}

// Tiles are its nodes by word; those of words of which it remembers the nodes lead to them.
func (r rolloutRow) Tiles() []tile {
	var list []tile
	for _, word := range rollout.Words() {
		if n := r.Counts[word]; n > 0 {
			list = append(list, tile{State: wordClass(word), Name: string(word), Count: n, Href: r.Link() + "?word=" + string(word) + "#reached"})
		}
	}
	return list
}

// worst is the word of nodes that somebody wants to see first; "": of none.
func (r rolloutRow) worst() string {
	for _, word := range []rollout.Word{rollout.Failed, rollout.SelfReverted, rollout.Lost} {
		if r.Counts[word] > 0 {
			return string(word)
		}
	}
	return ""
}

// Do are the commands that can be given now.
func (r rolloutRow) Do() []string {
	var list []string
	add := func(do rollout.Do) { list = append(list, "vigo rollout "+string(do)+" "+quoted(r.Channel)) }
	switch r.Phase {
	case rollout.Running:
		if r.Reason == rollout.WaitingApproval {
			add(rollout.DoApprove)
		}
		add(rollout.DoPause)
	case rollout.Paused:
		add(rollout.DoResume)
	case rollout.Aborted:
		add(rollout.DoRevert)
		return list
	default:
		return nil
	}
	add(rollout.DoAbort)
	add(rollout.DoRevert)
	return list
}

// Left is how much of the deadline of a stage is left.
func (r rolloutRow) Left(st report.RolloutStage) time.Duration { return max(0, r.Deadline-st.Used) }

// Agreed are those who approved a stage of it.
func (r rolloutRow) Agreed() []string {
	var list []string
	for _, st := range r.Stages {
		for _, who := range st.Approved {
			if !slices.Contains(list, who) {
				list = append(list, who)
			}
		}
	}
	return list
}

// rolloutPage is all about the rollout of a channel.
type rolloutPage struct {
	rolloutRow
	Moves []rollout.Transition
	Past  []rolloutRow // before it
	Word  string       // of the nodes that are listed
	Found report.RolloutNodes
	Node  string // that is asked about
	Why   *report.RolloutNode
	Fault string // why nothing is known of it
}

func (d *Dashboard) rollout(r *http.Request, p *page) error {
	channel, v := r.PathValue("channel"), r.URL.Query()
	list, err := d.Rollouts.Rollouts(r.Context(), channel, showMoves)
	if err != nil {
		return err
	}
	if len(list) != 1 {
		return api.Refuse(api.ErrNotFound, "there was no rollout on channel %.80q", channel)
	}
	one := rolloutPage{rolloutRow: rolloutRow{list[0], p.Now}, Word: v.Get("word"), Node: strings.TrimSpace(v.Get("node"))}
	one.Moves = one.Log
	if one.Word == "" {
		one.Word = one.worst()
	}
	if one.Word != "" {
		if one.Found, err = d.Rollouts.RolloutNodes(r.Context(), channel, rollout.Word(one.Word), showReached); err != nil {
			return err
		}
	}
	past, err := d.Rollouts.RolloutHistory(r.Context(), channel, showPast+1)
	if err != nil && !errors.Is(err, api.ErrNotFound) {
		return err
	}
	for _, before := range past {
		if before.ID != one.ID && len(one.Past) < showPast {
			one.Past = append(one.Past, rolloutRow{before, p.Now})
		}
	}
	p.Command = "vigo rollout status " + quoted(channel)
	if one.Node != "" {
		p.Command = "vigo rollout explain " + quoted(one.Node)
		why, err := d.Rollouts.ExplainRollout(r.Context(), one.Node)
		switch {
		case err == nil && why.Channel != channel:
			one.Fault = why.Node + " is of channel " + why.Channel
		case err == nil:
			one.Why = &why
		default:
			_, e := d.explain(r, err)
			one.Fault = e.Message
		}
	}
	p.name, p.Title, p.Section, p.Body = "rollout", "Rollout of "+channel, "rollouts", one
	return nil
}

// rolloutOf is where a node is in the rollout of its channel; nil: there was none.
func (d *Dashboard) rolloutOf(r *http.Request, node string) (*report.RolloutNode, error) {
	why, err := d.Rollouts.ExplainRollout(r.Context(), node)
	switch {
	case errors.Is(err, api.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &why, nil
}
