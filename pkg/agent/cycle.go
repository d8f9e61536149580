package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/converge"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/traits"
)

// Cycle is one turn of the loop: look for a newer pointer, take the bundle it names if it holds up, converge, and put
// the report in the spool. What cannot be reached is logged and does not stop the rest; the error says why there was
// nothing to converge.
//
// The host does not wait for registries that do not answer at once: what is in force is enforced first, and again when it
// turns out that they are there and have something newer.
func (a *Agent) Cycle(ctx context.Context) (report.Run, error) { return a.cycle(ctx, nil) }

// cycle is a Cycle that looks for policy only if it is known by the end of a time, if one is given, whether the registries are
// there; otherwise the next cycle is told.
func (a *Agent) cycle(ctx context.Context, end <-chan time.Time) (report.Run, error) {
	a.refusals.Begin()
	a.readPin()
	h := a.NewHost()
	if !a.DryRun {
		a.takeBack(ctx, h)
		guarded, stop := a.untilDue(ctx)
		defer stop()
		ctx = guarded
	}
	set := a.collect(ctx, h)
	var run report.Run
	if a.trying == nil {
		moving, _ := bundle.Pointer{Channel: a.Enrolment.Channel}.Tags()
		a.trying = a.Origin.Try(ctx, moving)
	}
	before, first := a.inForce(), a.trustCopy().Enforced.Digest != "" && a.away(a.trying)
	if first {
		run = a.converge(ctx, h, set)
		h = a.NewHost()
		select {
		case <-a.trying:
		case <-end:
			return run, nil
		}
	}
	<-a.trying
	a.trying = nil
	updateErr := a.update(ctx, set)
	if updateErr != nil && ctx.Err() == nil {
		a.Log.Warn("looking for policy; the last good one stays", "err", updateErr)
	}
	if !first || a.inForce() != before {
		run = a.converge(ctx, h, set)
	}
	if updateErr == nil {
		a.refusals.Settle()
	}
	if run.Bundle == "" {
		return run, fmt.Errorf("nothing to enforce: %s", run.Error)
	}
	return run, nil
}

// patience is how long a host waits to hear that it is not cut off, before it repairs what drifted.
const patience = 500 * time.Millisecond

// away says whether the registries are away, as far as is known by now.
func (a *Agent) away(back <-chan struct{}) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-back:
		return a.Origin.Offline() != nil
	case <-timer.C:
		return true
	}
}

// inForce names what is enforced: another value, another catalog.
func (a *Agent) inForce() string {
	doc := a.trustCopy()
	return doc.Pointer.Version() + " " + doc.Enforced.Digest + " " + doc.Enforced.Secrets.Digest + " " + doc.Order.Payload
}

// converge enforces what is in force and keeps the report.
func (a *Agent) converge(ctx context.Context, h *host.Host, set trait.Set) report.Run {
	run := a.enforce(ctx, h, set)
	a.worked, a.hurry = time.Now(), a.haste(run)
	if run.Bundle != "" && !a.DryRun {
		if err := a.keep(ctx, run); err != nil {
			a.trouble(err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.troubles) > 0 && !a.DryRun {
		run.Error = strings.TrimPrefix(run.Error+"; the agent cannot keep its state: "+strings.Join(a.troubles, "; "), "; ")
		a.troubles = nil
	}
	a.last = run
	return run
}

// enforce converges the host with the bundle in force.
func (a *Agent) enforce(ctx context.Context, h *host.Host, set trait.Set) report.Run {
	run := report.Run{Started: a.Now(), DryRun: a.DryRun}
	if !a.DryRun {
		a.trouble(a.guard.Bundle(a.trustCopy().Enforced.Digest))
		defer func() { a.guard.Settle(); a.trouble(a.guard.Trouble()) }()
	}
	cat, err := a.catalog(ctx, set)
	if err != nil {
		run.Error = err.Error()
	} else {
		a.serves(cat)
		a.takesTurns()
		h.Turns = a.turns()
		ctx, cancel := context.WithTimeoutCause(ctx, a.RunDeadline, fmt.Errorf("the run took longer than %s", a.RunDeadline))
		defer cancel()
		run = converge.Run(ctx, cat, discreet(h, a.redactor()), converge.Options{DryRun: a.DryRun, Journal: a.journal, Log: a.Log, Now: a.Now, Secrets: a.redactor(), Guard: a.guard})
		if err := a.lacking(); err != nil {
			run.Error = strings.TrimPrefix(run.Error+"; going on without modules that this node needs: "+err.Error(), "; ")
		}
	}
	run.Error = a.redactor().String(run.Error)
	run.ID, run.Node, run.Channel = newID(run.Started), a.Enrolment.Node, a.Enrolment.Channel
	doc := a.trustCopy()
	run.Bundle, run.Commit = doc.Enforced.Digest, doc.Enforced.Commit
	if doc.Pointer.Seq > 0 {
		run.Pointer = doc.Pointer.Version()
	}
	if run.Bundle != "" {
		a.trouble(a.survived(run.Bundle))
	}
	return run
}

func (a *Agent) input(l *loaded, set trait.Set) catalog.Input {
	a.mu.Lock()
	defer a.mu.Unlock()
	labels := a.Language.Labels(l.policy, a.Enrolment.Node)
	all := make(map[string]string, len(labels)+len(a.labels))
	for name, value := range a.labels {
		all[name] = value
	}
	for name, value := range labels { // the signed policy has the last word
		all[name] = value
	}
	in := catalog.Input{Node: a.Enrolment.Node, Labels: all, Traits: set, Modes: a.modes(l.policy.Fleet.Modes), OnNode: true}
	if l.secrets != nil {
		in.Secrets = l.secrets.values
	}
	return in
}

// collect gathers the traits that are due and remembers their facets for the next check-in.
func (a *Agent) collect(ctx context.Context, h *host.Host) trait.Set {
	gathered := a.gather.Gather(ctx, h, a.about())
	for name, problem := range gathered.Problems {
		a.Log.Debug("collecting a trait", "trait", name, "err", problem)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.digests, a.facets = gathered.Digests, gathered.Facets
	return gathered.Set
}

// about is what the agent says of itself as a trait.
func (a *Agent) about() traits.Agent {
	a.mu.Lock()
	defer a.mu.Unlock()
	about := traits.Agent{Version: a.Version, Bundle: a.trust.Enforced.Digest, PendingRefreshes: a.journal.PendingCount()}
	if a.trust.Pointer.Seq > 0 {
		about.Pointer = a.trust.Pointer.Version()
	}
	return about
}

// keep spools a run that has something to say beyond its summary that was not said before: a change, a failure that is not
// the one of the last run, or the end of a failure.
func (a *Agent) keep(ctx context.Context, run report.Run) error {
	sign, failed := signature(run), a.failed
	same := sign == a.told
	a.told, a.failed = sign, run.Compliance() == report.ComplianceFailed || run.Compliance() == report.ComplianceDrift
	changed := run.Counts.Changed+run.Counts.Corrected+run.Counts.Refreshed > 0
	if !changed && (same || run.Quiet() && !failed) {
		return nil
	}
	return a.spool.Put(ctx, run)
}

// signature is a digest over what a run found, without times and IDs.
func signature(run report.Run) string {
	results := make([]report.Result, len(run.Results))
	for i, r := range run.Results {
		r.Took = 0
		results[i] = r
	}
	data, err := json.Marshal([]any{run.Bundle, run.Error, run.Counts, results})
	if err != nil { // cannot be: all fields are plain
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// newID returns a run ID that sorts by time.
func newID(t time.Time) string {
	var random [8]byte
	rand.Read(random[:]) // never fails since Go 1.24
	return fmt.Sprintf("%012x-%x", t.UnixMilli(), random)
}
