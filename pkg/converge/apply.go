package converge

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// converge plans one item and, unless it is only looked at, applies the plan and proves by a second plan that the host
// is in line then. It returns the plan as it is by then.
func (r *run) converge(ctx context.Context, i int, res *report.Result) (plan resource.Plan) {
	it := &r.cat.Items[i]
	h := r.watched(it)
	plan, err := r.planAhead(ctx, i, h)
	if err != nil {
		r.planFailed(ctx, i, err, res)
		return plan
	}
	if plan.Empty() {
		return plan
	}
	res.Changes = plan.Changes()
	if now := r.Now(); !it.Meta.Audit && !it.Meta.Window.Open(now) {
		res.Outcome, res.Reason = report.Skipped, it.Meta.Window.Closed(now)
		res.Waits = r.fresh(i)
		r.states[i] = state{cause: it.Name(), waits: true}
		return plan
	}
	if r.DryRun || it.Meta.Audit {
		res.Outcome = report.Drift
		r.states[i].pending = true
		for _, target := range it.Notifies {
			r.owed[target] = r.owed[target] || r.DryRun && !it.Meta.Audit
		}
		return plan
	}
	if why := r.refused(it); why != "" {
		fail(res, errors.New(why))
		return plan
	}
	fresh, err := r.notify(i, plan)
	if err != nil {
		fail(res, fmt.Errorf("keeping the journal: %w", err))
		return plan
	}
	res.Outcome = report.Changed
	if r.Journal.Enforced(it.Name()) == it.Digest {
		res.Outcome = report.Corrected
	}
	first := plan
	if err := r.apply(ctx, it, h, &plan, fresh, res); err != nil {
		fail(res, explain(ctx, err))
	} else if slices.Contains(fresh, i) && !first.Tells() {
		r.owed[i] = false // its own steps have told what they had to
		r.settle(it.Name(), res)
	}
	return plan
}

// planFailed says why an item could not be planned; in a dry run what depends on a change that was not made may only be
// known afterwards. One that has to wait may differ or not: nobody knows, so it counts as something new that waits.
func (r *run) planFailed(ctx context.Context, i int, err error, res *report.Result) {
	if wait, is := errors.AsType[*host.Wait](err); is {
		res.Outcome, res.Reason, res.Waits = report.Skipped, wait.Reason, true
		r.states[i] = state{cause: r.name(i), waits: true}
		return
	}
	if r.DryRun && r.dependsOnPending(i) && (errors.Is(err, host.ErrNotFound) || errors.Is(err, errors.ErrUnsupported)) {
		res.Outcome = report.Drift
		res.Changes = []change.Change{{Field: r.cat.Items[i].ID.Type, To: change.Unknown}}
		r.states[i].pending = true
		return
	}
	fail(res, explain(ctx, err))
}

// notify records the refreshes that the change of an item will cause, and returns the targets that owed none before. The item
// is one of them if its own steps tell a program of what they do.
func (r *run) notify(i int, plan resource.Plan) (fresh []int, err error) {
	it := &r.cat.Items[i]
	all := it.Notifies
	if plan.Tells() {
		all = append(slices.Clone(all), i)
	}
	if len(all) == 0 {
		return nil, nil
	}
	targets := make([]string, len(all))
	for n, target := range all {
		targets[n] = r.cat.Items[target].Name()
		if !r.owes(target) {
			fresh = append(fresh, target)
		}
		r.owed[target] = true
	}
	return fresh, r.Journal.Notify(it.Name(), targets)
}

// apply carries out a plan, again after a failure as often as the item allows, and checks the result.
func (r *run) apply(ctx context.Context, it *resource.Item, h *host.Host, plan *resource.Plan, fresh []int, res *report.Result) error {
	for attempt := 0; ; attempt++ {
		made, err := applyPlan(ctx, *plan)
		res.Changes = made
		if err == nil {
			after, err := planOf(ctx, it.Resource, h)
			if err != nil {
				return fmt.Errorf("looking again after the change: %w", err)
			}
			if after.Empty() {
				return nil
			}
			return fmt.Errorf("after the change it still differs: %s", summary(it.Meta, after.Changes()))
		}
		if attempt >= it.Meta.Retries || ctx.Err() != nil {
			r.withdraw(ctx, it, *plan, fresh)
			return err
		}
		if *plan, err = planOf(ctx, it.Resource, h); err != nil {
			return err
		}
		res.Changes = plan.Changes()
	}
}

// withdraw takes back the notifications of an apply that failed and left the host as it was.
func (r *run) withdraw(ctx context.Context, it *resource.Item, plan resource.Plan, fresh []int) {
	if len(fresh) == 0 {
		return
	}
	after, err := planOf(ctx, it.Resource, r.host)
	if err != nil || !reflect.DeepEqual(after.Changes(), plan.Changes()) {
		return // something changed or may have: the refresh stays owed
	}
	names := make([]string, len(fresh))
	for n, target := range fresh {
		r.owed[target] = false
		names[n] = r.cat.Items[target].Name()
	}
	if err := r.Journal.Settle(names); err != nil {
		r.Log.Warn("keeping the journal", "err", err)
	}
}

// refresh carries out the refresh an item owes, now that its own plan is applied. If it was the item itself that could not tell
// a program of its change, because a run died or the program would not hear, that is done.
func (r *run) refresh(ctx context.Context, i int, plan resource.Plan, res *report.Result) {
	it := &r.cat.Items[i]
	if !r.owes(i) {
		return
	}
	target, can := it.Resource.(resource.Refresher)
	if !can && !plan.Untold() {
		r.settle(it.Name(), res)
		return
	}
	if now := r.Now(); !it.Meta.Audit && !it.Meta.Window.Open(now) {
		if res.Outcome == report.OK {
			res.Outcome, res.Reason = report.Skipped, it.Meta.Window.Closed(now)
		}
		res.Refresh, res.Waits = "pending", true
		return
	}
	if r.DryRun || it.Meta.Audit {
		res.Outcome = report.Drift
		res.Refresh = "pending"
		return
	}
	err := tellOf(ctx, plan)
	if err == nil && can {
		err = refreshOf(ctx, target, r.refreshing(i))
	}
	if err != nil {
		res.Refresh = "failed"
		fail(res, fmt.Errorf("refreshing: %w", explain(ctx, err)))
		return
	}
	res.Refresh = "done"
	r.settle(it.Name(), res)
}

func (r *run) settle(name string, res *report.Result) {
	if r.DryRun {
		return
	}
	if err := r.Journal.Settle([]string{name}); err != nil {
		fail(res, fmt.Errorf("keeping the journal: %w", err))
	}
}

func fail(res *report.Result, err error) {
	res.Outcome, res.Reason = report.Failed, err.Error()
}

// explain puts the cause of an ended context in place of "context deadline exceeded".
func explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		return cause
	}
	return err
}

// planOf, applyPlan and refreshOf turn a panic of a resource type into a failure of that one resource.
func planOf(ctx context.Context, res resource.Resource, h *host.Host) (p resource.Plan, err error) {
	defer rescue(&err)
	return res.Plan(ctx, h)
}

func applyPlan(ctx context.Context, p resource.Plan) (made []change.Change, err error) {
	defer rescue(&err)
	return p.Apply(ctx)
}

func refreshOf(ctx context.Context, res resource.Refresher, h *host.Host) (err error) {
	defer rescue(&err)
	return res.Refresh(ctx, h)
}

func tellOf(ctx context.Context, p resource.Plan) (err error) {
	defer rescue(&err)
	return p.TellRest(ctx)
}

func rescue(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the resource type panicked: %v\n%s", p, debug.Stack())
	}
}
