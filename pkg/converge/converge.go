// Package converge brings a host into line with a catalog: plan, apply, plan again, refresh, and say what happened.
//
// It refuses to build catalogs (package catalog does), to know any resource type, and to keep state itself: what must
// survive a crash goes through a [Journal].
package converge

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/redact"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// DefaultTimeout bounds the plan and the apply of a resource that sets no timeout of its own.
const DefaultTimeout = 10 * time.Minute

// A Journal keeps what a later run must know, also after kill -9. Resources are named as in reports:
// module/type:identity.
type Journal interface {
	// Pending reports whether a refresh of the resource is owed.
	Pending(name string) bool
	// Notify records that each of targets owes a refresh because of the change that is about to be made to by. It
	// returns once that is durable.
	Notify(by string, targets []string) error
	// Settle forgets the refreshes owed by the targets: they were carried out, or what would have caused them did
	// not happen.
	Settle(targets []string) error
	// Enforced returns the declaration digest that the resource was last brought into line with, or "".
	Enforced(name string) string
	// Finish records the declarations in force after a run, and forgets all that is said of other resources. There is an
	// entry for every resource of the catalog; "" stands for one that was never brought into line.
	Finish(enforced map[string]string) error
}

// A Guard keeps what guarded resources change until it is known that the host can still be reached, and puts it back
// otherwise.
type Guard interface {
	// Refused says why a declaration must not be applied now, or "".
	Refused(it resource.Item) string
	// Watch returns a host through which the resource is changed, or what it notifies refreshed. What that changes is kept
	// first, durably.
	Watch(it resource.Item, h *host.Host) *host.Host
	// Waiting reports whether a change of the resource is not confirmed yet.
	Waiting(name string) bool
	// Settle says that all guarded changes so far have taken effect.
	Settle()
}

// Options says how to run.
type Options struct {
	DryRun  bool // look only: every difference is drift
	Journal Journal
	Log     *slog.Logger
	Now     func() time.Time
	Secrets *redact.Redactor // the secrets of the node, which are masked wherever they show; nil: it has none
	Guard   Guard            // keeps what guarded resources change; nil: they are changed like others
	// Only narrows a run to what it returns true for and all that is required for that; the rest is left as it is, and
	// out of the report. nil: everything.
	Only func(resource.Item) bool
}

// Run converges the host with the catalog, in order, and returns what happened: times, counts, and a result for every
// resource that is not ok. It returns when all is done or ctx ends; what was not reached by then is skipped.
//
// A resource is skipped when one it requires failed or was skipped; the reason names the root cause. A refresh is
// owed from before the change that causes it is made until it succeeded, so it survives a crash in between.
func Run(ctx context.Context, cat *resource.Catalog, h *host.Host, o Options) report.Run {
	r := &run{cat: cat, host: h, Options: o, states: make([]state, len(cat.Items)), owed: make([]bool, len(cat.Items)), names: make([]string, len(cat.Items))}
	started := o.Now()
	rep := report.Run{Started: started, DryRun: o.DryRun}
	r.chosen = r.choose()
	r.sight.calm = atFirst
	ran := 0
	for i := range cat.Items {
		r.awaitEffect(i) // of a change by a run that died
	}
	for i := range cat.Items {
		if !r.chosen[i] {
			r.states[i].left = true
			continue
		}
		ran++
		r.joint(ctx, i)
		r.foresee(ctx, i)
		result := r.item(ctx, i)
		r.passed(result)
		if result.Outcome != report.OK || result.Refresh != "" || result.Guard != "" {
			rep.Results = append(rep.Results, result)
		}
		r.settled(i)
	}
	r.finish(ctx, &rep)
	r.settled(len(cat.Items))
	for _, result := range rep.Results {
		rep.Counts.Add(result)
	}
	rep.Counts.OK += ran - len(rep.Results)
	if err := ctx.Err(); err != nil {
		rep.Error = fmt.Sprintf("the run was ended before it was complete: %v", context.Cause(ctx))
	}
	if !o.DryRun {
		if err := o.Journal.Finish(r.enforced()); err != nil {
			rep.Error = fmt.Sprintf("keeping the journal: %v", err)
		}
	}
	rep.Took = o.Now().Sub(started)
	return rep
}

// run is one pass over a catalog.
type run struct {
	Options
	cat    *resource.Catalog
	host   *host.Host
	states []state
	names  []string              // made when they are needed
	chosen []bool                // to be in the run
	owed   []bool                // a notifier changed in this run, or would have
	effect int                   // the item after whose turn all guarded changes have taken effect; 0: there are none
	ahead  map[int]resource.Plan // of items whose turn is still to come
	joined int                   // items before it were looked at for being changed together
	sight  sight                 // of items that were looked at before their turn
}

// state is what a later resource must know of an earlier one.
type state struct {
	cause   string // root cause, when it failed or was skipped
	pending bool   // has changes that were not made (dry run, audit)
	waits   bool   // cause, for its window, its turn or its secrets
	left    bool   // out of the run
}

func (r *run) item(ctx context.Context, i int) report.Result {
	it := &r.cat.Items[i]
	res := report.Result{ID: r.name(i), Outcome: report.OK, Controls: it.Meta.Controls}
	if cause := r.blocked(ctx, i); cause != "" {
		res.Outcome, res.Reason = report.Skipped, cause
		root, waits := r.rootCause(i, cause)
		r.states[i], res.Waits = state{cause: root, waits: waits}, waits && (r.fresh(i) || r.owes(i))
		if r.owes(i) {
			res.Refresh = "pending"
		}
		return res
	}
	if plan, is := r.sight.of(i); is && plan.Empty() && !r.owes(i) {
		return res // it conforms, and there is nothing to wait for
	}
	timeout := timeoutOf(it)
	began := r.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it took longer than %s", timeout))
	defer cancel()
	plan := r.converge(ctx, i, &res)
	if res.Outcome == report.OK || res.Outcome == report.Changed || res.Outcome == report.Corrected {
		r.refresh(ctx, i, plan, &res)
	} else if r.owes(i) {
		res.Refresh = "pending"
	}
	r.guarded(i, &res)
	if res.Outcome != report.OK {
		res.Took = r.Now().Sub(began)
	}
	mask(it.Meta, r.Secrets, &res) // before anybody is told
	if res.Outcome == report.Failed {
		r.states[i] = state{cause: it.Name()}
		r.Log.Warn("resource failed", "resource", it.Name(), "reason", res.Reason)
	}
	return res
}

func timeoutOf(it *resource.Item) time.Duration {
	if it.Meta.Timeout == 0 {
		return DefaultTimeout
	}
	return it.Meta.Timeout
}

// blocked returns why an item must not be converged, or "".
func (r *run) blocked(ctx context.Context, i int) string {
	if ctx.Err() != nil {
		return fmt.Sprintf("the run ended before its turn: %v", context.Cause(ctx))
	}
	for _, dep := range r.cat.Items[i].Requires {
		cause := r.states[dep].cause
		if cause == "" {
			continue
		}
		name := r.cat.Items[dep].Name()
		if cause == name && r.states[dep].waits {
			return fmt.Sprintf("requires %s, which waits", name)
		}
		if cause == name {
			return fmt.Sprintf("requires %s, which failed", name)
		}
		return fmt.Sprintf("requires %s, which was skipped because of %s", name, cause)
	}
	return ""
}

// name is how an item is called in reports and in the journal, made once.
func (r *run) name(i int) string {
	if r.names[i] == "" {
		r.names[i] = r.cat.Items[i].Name()
	}
	return r.names[i]
}

// rootCause is why an item is skipped, and whether that only waits: of several causes, one that failed.
func (r *run) rootCause(i int, fallback string) (cause string, waits bool) {
	for _, dep := range r.cat.Items[i].Requires {
		s := r.states[dep]
		if s.cause != "" && (cause == "" || waits && !s.waits) {
			cause, waits = s.cause, s.waits
		}
	}
	return cmp.Or(cause, fallback), waits
}

// fresh reports whether what is declared of an item was not in force before.
func (r *run) fresh(i int) bool {
	return r.Journal == nil || r.Journal.Enforced(r.name(i)) != r.cat.Items[i].Digest
}

// dependsOnPending reports whether something the item requires has changes that were not made.
func (r *run) dependsOnPending(i int) bool {
	for _, dep := range r.cat.Items[i].Requires {
		if r.states[dep].pending {
			return true
		}
	}
	return false
}

func (r *run) owes(i int) bool {
	return r.owed[i] || (r.Journal != nil && r.Journal.Pending(r.name(i)))
}

// enforced returns the declarations in force: of what conforms now, and of what did before and could not be looked at;
// "" for the rest.
func (r *run) enforced() map[string]string {
	all := make(map[string]string, len(r.cat.Items))
	for i := range r.cat.Items {
		it := &r.cat.Items[i]
		name := r.name(i)
		if s := r.states[i]; s.cause == "" && !s.pending && !s.left {
			all[name] = it.Digest
		} else {
			all[name] = r.Journal.Enforced(name)
		}
	}
	return all
}
