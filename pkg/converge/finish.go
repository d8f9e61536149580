package converge

import (
	"context"
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
		name := it.Name()
		at := slices.IndexFunc(rep.Results, func(res report.Result) bool { return res.ID == name })
		if at < 0 {
			at = len(rep.Results)
			rep.Results = append(rep.Results, report.Result{ID: name, Controls: it.Meta.Controls})
		}
		fail(&rep.Results[at], fmt.Errorf("at the end of the run: %w", explain(ctx, err)))
		mask(it.Meta, r.Secrets, &rep.Results[at])
		r.states[i] = state{cause: name}
		r.Log.Warn("resource failed", "resource", name, "reason", rep.Results[at].Reason)
	}
}

func finishOf(ctx context.Context, f resource.Finisher, h *host.Host) (err error) {
	defer rescue(&err)
	return f.Finish(ctx, h)
}
