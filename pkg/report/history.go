package report

import (
	"strings"
	"time"

	"vigo.dev/pkg/change"
)

// The limits of a question to the history.
const (
	MaxHistory     = 1000   // entries in one answer
	MaxMoves       = 10_000 // values that have moved, in one answer
	MaxTraitFields = 40     // that are kept of one change of a trait
)

// The sorts of entries.
const (
	HistoryResource = "resource" // a run did something to a resource, or found something else than before
	HistoryRun      = "run"      // a run could not be done, or could again
	HistoryTrait    = "trait"    // the node says something else of itself
)

// The outcomes that only entries of traits have.
const (
	Appeared Outcome = "appeared"
	Gone     Outcome = "gone"
)

// A HistoryEntry is something that changed on a node. What stays as it is has none: a resource that fails in run after run has
// one entry, and another when it is well again.
type HistoryEntry struct {
	Seq     int64           `json:"seq"` // rises with the entries of its kind; the store gives it
	At      time.Time       `json:"at"`  // when the service heard of it
	Node    string          `json:"node"`
	Kind    string          `json:"kind"`              // resource, run or trait
	Subject string          `json:"subject,omitempty"` // TYPE:NAME of a resource, or name of a trait
	Module  string          `json:"module,omitempty"`  // of a resource
	Outcome Outcome         `json:"outcome"`           // ok: it fails or differs no longer; of a trait: changed, appeared or gone
	Run     string          `json:"run,omitempty"`     // ID of the run that said so
	Commit  string          `json:"commit,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Changes []change.Change `json:"changes,omitempty"` // while the run is kept; of a trait, at most [MaxTraitFields]
	More    int             `json:"more,omitempty"`    // changes that are left out
}

// A HistoryQuery asks what has changed.
type HistoryQuery struct {
	Node     string    `json:"node,omitempty"`     // "": of all
	Resource string    `json:"resource,omitempty"` // TYPE:NAME or MODULE/TYPE:NAME, or a glob of that; "": all, and traits
	Since    time.Time `json:"since,omitzero"`     // zero: as long as it is kept
	Before   string    `json:"before,omitempty"`   // as History.Next has said; "": the newest
	Limit    int       `json:"limit,omitempty"`    // 0: 100; at most [MaxHistory]
}

// History is a page of what has changed, newest first.
type History struct {
	Entries []HistoryEntry `json:"entries"`
	Next    string         `json:"next,omitempty"` // to ask for the page behind this one; "": there is none
	// Dropped is until when entries were forgotten earlier than by their age, because there were too many; zero: none were.
	Dropped time.Time `json:"dropped,omitzero"`
}

// SplitID takes the ID of a resource apart: module/type:identity.
func SplitID(id string) (module, subject string) {
	module, subject, found := strings.Cut(id, "/")
	if !found || strings.Contains(module, ":") {
		return "", id
	}
	return module, subject
}

// HistoryOf returns what a run adds to the history of its node: what it did; and what it found that the runs before had not, or
// not so. Those are newest first; of a run that could not be done, how resources are is not known, so the one before it counts.
// Results that were skipped say nothing of the resource.
func HistoryOf(before []Run, r Run) []HistoryEntry {
	last, whole := lastOf(before)
	was := whole.wrong()
	var list []HistoryEntry
	add := func(id string, outcome Outcome) {
		module, subject := SplitID(id)
		kind := HistoryResource
		if id == "" {
			kind = HistoryRun
		}
		list = append(list, HistoryEntry{Kind: kind, Subject: subject, Module: module, Outcome: outcome, Run: r.ID})
	}
	if r.Error != "" && r.Error != last.Error {
		add("", Failed)
	}
	if r.Error == "" && last.Error != "" {
		add("", OK)
	}
	said := map[string]bool{}
	for _, res := range r.Results {
		said[res.ID] = true
		switch old, known := was[res.ID]; {
		case res.Outcome == Changed, res.Outcome == Corrected:
			add(res.ID, res.Outcome)
		case res.wrong() && (!known || old.Outcome != res.Outcome || old.Reason != res.Reason):
			add(res.ID, res.Outcome)
		}
	}
	for _, res := range whole.Results { // in their order
		if r.Error == "" && res.wrong() && !said[res.ID] {
			add(res.ID, OK)
		}
	}
	return list
}

// lastOf returns the newest run, and the newest that was done.
func lastOf(before []Run) (last, whole Run) {
	for i, r := range before {
		if i == 0 {
			last = r
		}
		if r.Error == "" {
			return last, r
		}
	}
	return last, whole
}

// wrong reports whether the resource is not as declared.
func (r Result) wrong() bool { return r.Outcome == Failed || r.Outcome == Drift }

// wrong is what a run found that is not as declared.
func (r Run) wrong() map[string]Result {
	of := map[string]Result{}
	for _, res := range r.Results {
		if res.wrong() {
			of[res.ID] = res
		}
	}
	return of
}
