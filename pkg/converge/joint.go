package converge

import (
	"context"
	"fmt"
	"reflect"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// joint has the resources from item i on that can be changed in one transaction changed so: those of one type that follow
// each other, with no order between them. Their plans are then ahead of their turns. If the transaction fails, nothing is
// said: what it left is changed by itself when it is its turn, so that a failure is that of the resource it belongs to.
func (r *run) joint(ctx context.Context, i int) {
	first, can := r.cat.Items[i].Resource.(resource.Joiner)
	if !can || r.DryRun || i < r.joined {
		return
	}
	group := r.neighbours(ctx, i)
	if len(group) < 2 {
		return
	}
	r.joined = group[len(group)-1] + 1
	plans := map[int]resource.Plan{}
	var differ []int
	for _, k := range group {
		plan, err := r.planInTime(ctx, k)
		if err != nil {
			continue // its own turn tells
		}
		plans[k] = plan
		if !plan.Empty() {
			differ = append(differ, k)
		}
	}
	switch len(differ) {
	case 0:
		r.ahead = plans
	case 1: // looked at again in its turn, and those after it, which it may change
	default:
		r.ahead = r.together(ctx, first, differ, plans)
	}
}

// neighbours are the items from i on that may be changed with it.
func (r *run) neighbours(ctx context.Context, i int) []int {
	var group []int
	now, kind := r.Now(), reflect.TypeOf(r.cat.Items[i].Resource)
	for k := i; k < len(r.cat.Items); k++ {
		it := r.cat.Items[k]
		if !r.chosen[k] {
			continue
		}
		// The type in Go, because what could not be made is stood in for by another.
		if reflect.TypeOf(it.Resource) != kind || waitsFor(it, i) {
			break
		}
		if !it.Meta.Audit && it.Meta.Guard == 0 && it.Meta.Window.Open(now) && r.blocked(ctx, k) == "" {
			group = append(group, k)
		}
	}
	return group
}

// waitsFor reports whether the item requires one from i on.
func waitsFor(it resource.Item, i int) bool {
	for _, dep := range it.Requires {
		if dep >= i {
			return true
		}
	}
	return false
}

func (r *run) planInTime(ctx context.Context, k int) (resource.Plan, error) {
	ctx, cancel := context.WithTimeout(ctx, timeoutOf(&r.cat.Items[k]))
	defer cancel()
	return planOf(ctx, r.cat.Items[k].Resource, r.host)
}

// together makes the changes of several items in one transaction, and returns their plans for their own turns.
func (r *run) together(ctx context.Context, first resource.Joiner, differ []int, plans map[int]resource.Plan) map[int]resource.Plan {
	all := make([]resource.Resource, len(differ))
	fresh := make([][]int, len(differ))
	longest := timeoutOf(&r.cat.Items[differ[0]])
	var err error
	for n, k := range differ {
		all[n] = r.cat.Items[k].Resource
		longest = max(longest, timeoutOf(&r.cat.Items[k]))
		if fresh[n], err = r.notify(k, plans[k]); err != nil {
			return nil // the turn of the item fails by that
		}
	}
	limited, cancel := context.WithTimeoutCause(ctx, longest, fmt.Errorf("it took longer than %s", longest))
	defer cancel()
	err = joinOf(limited, first, r.host, all)
	if err != nil {
		r.Log.Debug("changing several resources at once", "resource", r.cat.Items[differ[0]].Name(), "err", explain(limited, err))
	}
	ahead := map[int]resource.Plan{}
	for n, k := range differ {
		if err != nil && r.untouched(ctx, k, plans[k]) {
			r.withdraw(ctx, &r.cat.Items[k], plans[k], fresh[n])
			continue
		}
		ahead[k] = rest(r.cat.Items[k].Resource, r.host, plans[k].Changes())
	}
	return ahead
}

// untouched reports whether an item is as it was when it was planned.
func (r *run) untouched(ctx context.Context, k int, before resource.Plan) bool {
	plan, err := r.planInTime(ctx, k)
	return err != nil || reflect.DeepEqual(plan.Changes(), before.Changes())
}

// rest is a plan of the changes that were made already, but for what is left of them.
func rest(res resource.Resource, h *host.Host, changes []change.Change) resource.Plan {
	var p resource.Plan
	p.Learn(func(ctx context.Context) ([]change.Change, error) {
		left, err := res.Plan(ctx, h)
		if err != nil {
			return nil, err
		}
		_, err = left.Apply(ctx)
		return changes, err
	}, changes...)
	return p
}

// planAhead is the plan of an item, which may have been made before its turn.
func (r *run) planAhead(ctx context.Context, i int, h *host.Host) (resource.Plan, error) {
	if plan, is := r.ahead[i]; is {
		return plan, nil
	}
	if plan, is := r.sight.of(i); is {
		return plan, nil
	}
	return planOf(ctx, r.cat.Items[i].Resource, h)
}

func joinOf(ctx context.Context, first resource.Joiner, h *host.Host, all []resource.Resource) (err error) {
	defer rescue(&err)
	return first.Join(ctx, h, all)
}
