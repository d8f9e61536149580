// Package report describes what an agent tells its service: check-ins, runs and their results; and what can be said
// of a node from them (presence, compliance).
//
// It refuses to send or store anything: packages api and sqlstore do, and both are Sinks. It reads no clock.
package report

import (
	"context"
	"time"

	"vigo.dev/pkg/change"
)

// Outcome is how a run left one resource.
type Outcome string

// The outcomes.
const (
	OK        Outcome = "ok"        // it conformed
	Changed   Outcome = "changed"   // the policy had changed; the host was changed to match
	Corrected Outcome = "corrected" // the host had drifted from what was enforced before; repaired
	Failed    Outcome = "failed"
	Skipped   Outcome = "skipped" // see Reason
	Drift     Outcome = "drift"   // differs, and was only looked at (audit or dry run)
)

// A Result is what a run did to one resource.
type Result struct {
	ID       string          `json:"id"` // module/type:identity
	Outcome  Outcome         `json:"outcome"`
	Reason   string          `json:"reason,omitempty"` // of skipped and failed: what and why, for people
	Changes  []change.Change `json:"changes,omitempty"`
	Refresh  string          `json:"refresh,omitempty"` // "done", "failed: …" or "pending" when a notifier changed
	Guard    string          `json:"guard,omitempty"`   // what becomes of a change that no check-in has confirmed yet
	Took     time.Duration   `json:"took,omitempty"`
	Controls []string        `json:"controls,omitempty"`
	// Waits says that something the bundle has new is yet to be done here: in a window, at the turn of the node, or when its secrets
	// are sealed to it. What was done before and only has to be repaired waits without it.
	Waits bool `json:"waits,omitempty"`
}

// Counts is the number of resources by outcome.
type Counts struct {
	OK        int `json:"ok"`
	Changed   int `json:"changed"`
	Corrected int `json:"corrected"`
	Failed    int `json:"failed"`
	Skipped   int `json:"skipped"`
	Drift     int `json:"drift"`
	Refreshed int `json:"refreshed"`
	Waiting   int `json:"waiting,omitempty"` // see Result.Waits; they are counted by their outcomes, too
}

// Add counts one result.
func (c *Counts) Add(r Result) {
	switch r.Outcome {
	case OK:
		c.OK++
	case Changed:
		c.Changed++
	case Corrected:
		c.Corrected++
	case Failed:
		c.Failed++
	case Skipped:
		c.Skipped++
	case Drift:
		c.Drift++
	}
	if r.Refresh == "done" {
		c.Refreshed++
	}
	if r.Waits {
		c.Waiting++
	}
}

// Total is the number of resources.
func (c Counts) Total() int {
	return c.OK + c.Changed + c.Corrected + c.Failed + c.Skipped + c.Drift
}

// A Run is one convergence of a node.
type Run struct {
	ID      string        `json:"id"` // unique; a second Put of the same ID is the same run
	Node    string        `json:"node"`
	Bundle  string        `json:"bundle"` // manifest digest that was enforced
	Commit  string        `json:"commit,omitempty"`
	Channel string        `json:"channel,omitempty"`
	Pointer string        `json:"pointer,omitempty"` // version, such as "3.1412"
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"took"`
	DryRun  bool          `json:"dryRun,omitempty"`
	Counts  Counts        `json:"counts"`
	// Error says why nothing or not all was done: no catalog, a deadline.
	Error string `json:"error,omitempty"`
	// Results holds every resource that is not ok, in the order of the catalog.
	Results []Result `json:"results,omitempty"`
}

// Quiet reports whether the run found everything as declared, so that a summary says it all.
func (r Run) Quiet() bool {
	return r.Error == "" && len(r.Results) == 0
}

// Compliance returns the compliance a run shows.
func (r Run) Compliance() Compliance {
	switch {
	case r.Error != "" || r.Counts.Failed > 0:
		return ComplianceFailed
	case r.Counts.Drift+r.Counts.Skipped > 0: // what waits for its window is not as the policy says
		return ComplianceDrift
	case r.Counts.Changed+r.Counts.Corrected+r.Counts.Refreshed > 0:
		return ComplianceChanged
	}
	return ComplianceOK
}

// A Sink takes runs: the client of the service, the spool on disk and the store of the service are sinks. Putting
// the same ID twice is one run.
type Sink interface {
	Put(ctx context.Context, r Run) error
}
