package converge

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// finish lets the resources that are in line do what they left for the end of the run. A failure of that is one of the
// resource.
func (r *run) finish(ctx context.Context, rep *report.Run) {
	if r.DryRun {
		return
	}
	for i, it := range r.cat.Items {
		f, can := it.Resource.(resource.Finisher)
		if !can || it.Meta.Audit || r.states[i].cause != "" || r.states[i].left || ctx.Err() != nil {
			continue
		}
		err := finishOf(ctx, f, r.host)
		if err == nil {
			continue
		}
		r.unfinished(ctx, i, err, rep)
	}
}

// unfinished reports that an item did not do what it left for the end: it failed, or has to wait. A refresh that was carried out
// before comes to nothing with it, and is owed again.
func (r *run) unfinished(ctx context.Context, i int, err error, rep *report.Run) {
	it := &r.cat.Items[i]
	name := it.Name()
	at := slices.IndexFunc(rep.Results, func(res report.Result) bool { return res.ID == name })
	if at < 0 {
		at = len(rep.Results)
		rep.Results = append(rep.Results, report.Result{ID: name, Controls: it.Meta.Controls})
	}
	res := &rep.Results[at]
	refreshed := res.Refresh == "done"
	if wait, is := errors.AsType[*host.Wait](err); is && ctx.Err() == nil {
		res.Outcome, res.Reason = report.Skipped, wait.Reason
		res.Waits = refreshed || r.fresh(i)
		r.states[i] = state{cause: name, waits: true}
		r.Log.Info("resource waits", "resource", name, "reason", res.Reason)
	} else {
		fail(res, fmt.Errorf("at the end of the run: %w", explain(ctx, err)))
		mask(it.Meta, r.Secrets, res)
		r.states[i] = state{cause: name}
		r.Log.Warn("resource failed", "resource", name, "reason", res.Reason)
	}
	if !refreshed {
		return
	}
	res.Refresh = "pending"
	if err := r.Journal.Notify(name, []string{name}); err != nil {
		fail(res, fmt.Errorf("keeping the journal: %w", err))
	}
}

func finishOf(ctx context.Context, f resource.Finisher, h *host.Host) (err error) {
	defer rescue(&err)
	return f.Finish(ctx, h)
}
