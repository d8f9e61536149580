package controller

import (
	"errors"
	"slices"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// The kinds of failures: what an operator has to look at.
const (
	FailedGit      = "git"      // the repository cannot be read, or was rewritten
	FailedPolicy   = "policy"   // the commit does not compile; its author has to look
	FailedRegistry = "registry" // the bundle or a pointer cannot be stored
	FailedTrust    = "trust"    // the registry holds what our keys did not sign, or the keys cannot be used; a commit is not signed
	FailedApproval = "approval" // the commit waits for approvals
	FailedForge    = "forge"    // whether the commit is approved could not be looked up
	FailedSecrets  = "secrets"  // secrets cannot be opened, or nobody says which nodes there are; nodes keep what they have
	FailedRollout  = "rollout"  // how far a rollout is cannot be told, or what is told is not lawful; what was authorised stays
)

// kinds lists all of them.
func kinds() []string {
	return []string{FailedGit, FailedPolicy, FailedRegistry, FailedTrust, FailedApproval, FailedForge, FailedSecrets, FailedRollout}
}

// Status is what the controller is about, at one moment. Zero times mean never.
type Status struct {
	Fleet  string    `json:"fleet"`
	Source string    `json:"source,omitempty"` // URL without credentials; empty for a repository on this machine
	Branch string    `json:"branch"`
	Polled time.Time `json:"polled,omitzero"` // the branch was looked at
	Seen   Revision  `json:"seen"`            // the tip of the branch
	Built  Revision  `json:"built"`           // the commit the fleet is asked to run
	Bundle string    `json:"bundle"`          // digest of its manifest
	// Approvals are who approved Built, as far as the policy asks for it.
	Approvals []string `json:"approvals,omitempty"`
	// Interval is how often nodes are to check in, as the policy says; 0: nothing was built yet.
	Interval time.Duration `json:"interval,omitempty"`
	// Alerts are the rules of alerts of the policy; nil: nothing was built yet.
	Alerts []report.AlertRule `json:"alerts,omitempty"`
	// Grants are the labels that the policy gives to nodes by their names.
	Grants   []report.LabelGrant `json:"grants,omitempty"`
	Channels []Channel           `json:"channels"`
	Waiting  []Wait              `json:"waiting,omitempty"` // for people to approve
	// Modes are the switches of each channel, as they stand.
	Modes   map[string][]Mode `json:"modes,omitempty"`
	Failure *Failure          `json:"failure,omitempty"` // what does not work now
	// Rewrite is the last time that a branch was followed although its history was replaced; nil: never.
	Rewrite *Rewrite `json:"rewrite,omitempty"`
	// Others are the further branches that feed channels. For each, From is what the policy calls it, and Feeds the channels
	// it is to feed.
	Others []Status `json:"others,omitempty"`
	From   string   `json:"from,omitempty"`
	Feeds  []string `json:"feeds,omitempty"`
}

// A Rewrite is a commit that was published although it does not descend from the one before: the operator allowed it.
type Rewrite struct {
	Branch string    `json:"branch"`
	Old    string    `json:"old"` // full hashes
	New    string    `json:"new"`
	At     time.Time `json:"at"`
}

// A Revision names a commit for people.
type Revision struct {
	Commit  string    `json:"commit"`
	Time    time.Time `json:"time,omitzero"`
	Author  string    `json:"author,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Count   int64     `json:"count,omitempty"` // number of commits up to it
}

// A Channel is what was published last for one channel.
type Channel struct {
	Name   string `json:"name"`
	Epoch  int64  `json:"epoch"`
	Seq    int64  `json:"seq"`
	Digest string `json:"digest"` // of the bundle its pointer names
	Commit string `json:"commit"` // that the bundle was made from
	// Candidate is the digest of the bundle that is being rolled out, and Trial the commit it was made from; empty: nothing is.
	Candidate string    `json:"candidate,omitempty"`
	Trial     string    `json:"trial,omitempty"`
	Payload   string    `json:"payload"` // digest of the signed pointer
	Issued    time.Time `json:"issued"`
	Expires   time.Time `json:"expires"`
}

// A Failure is why the fleet is not asked to run the tip of the branch.
type Failure struct {
	Kind     string          `json:"kind"` // one of the Failed constants
	Commit   string          `json:"commit,omitempty"`
	Author   string          `json:"author,omitempty"`
	Subject  string          `json:"subject,omitempty"`
	Message  string          `json:"message"`
	Hints    []string        `json:"hints,omitempty"`
	Problems []fault.Problem `json:"problems,omitempty"` // of the policy; at most 100
	Since    time.Time       `json:"since"`
}

// A Listener is told when the status changes. Note must not block for long: the controller waits for it.
type Listener interface {
	Note(s Status)
}

// failure is an error with its kind.
type failure struct {
	kind string
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func failed(kind string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{kind: kind, err: err}
}

// describe renders an error for the status. since is kept when the failure is the one shown before.
func describe(err error, rev Revision, before *Failure, now time.Time) *Failure {
	f := &Failure{Kind: FailedRegistry, Commit: rev.Commit, Author: rev.Author, Subject: rev.Subject, Message: err.Error(), Hints: fault.Hints(err), Since: now}
	if kind := (*failure)(nil); errors.As(err, &kind) {
		f.Kind = kind.kind
	}
	if ps := (fault.Problems)(nil); errors.As(err, &ps) {
		f.Problems = slices.Clone(ps[:min(len(ps), 100)])
	}
	f.Message = excerpt.Of(f.Message, 16<<10)
	if before != nil && before.Kind == f.Kind && before.Commit == f.Commit {
		f.Since = before.Since
	}
	return f
}

func channelOf(name string, p published) Channel {
	return Channel{
		Name: name, Epoch: p.Pointer.Epoch, Seq: p.Pointer.Seq, Digest: p.Pointer.Stable.Digest, Commit: p.Pointer.Stable.Commit,
		Candidate: trial(p).Digest, Trial: trial(p).Commit, Payload: p.Payload, Issued: p.Pointer.Issued, Expires: p.Pointer.Expires,
	}
}

// trial is the candidate of a channel; the zero target if it has none.
func trial(p published) bundle.Target {
	if p.Pointer.Candidate == nil {
		return bundle.Target{}
	}
	return *p.Pointer.Candidate
}

func targetOf(d bundle.Descriptor, commit string) bundle.Target {
	return bundle.Target{Digest: d.Digest, Size: d.Size, Commit: commit}
}
