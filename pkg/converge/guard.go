package converge

import (
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

// isGuarded says whether changes of an item are kept in this run.
func (r *run) isGuarded(it *resource.Item) bool {
	return it.Meta.Guard > 0 && r.Guard != nil && !r.DryRun && !it.Meta.Audit
}

// watched is the host that an item is planned and changed on.
func (r *run) watched(it *resource.Item) *host.Host {
	if r.isGuarded(it) {
		return r.Guard.Watch(*it, r.host)
	}
	return r.host
}

func (r *run) refused(it *resource.Item) string {
	if r.isGuarded(it) {
		return r.Guard.Refused(*it)
	}
	return ""
}

// guarded says in a result what becomes of a change that is not confirmed.
func (r *run) guarded(i int, res *report.Result) {
	it := &r.cat.Items[i]
	if r.DryRun && it.Meta.Guard > 0 && res.Outcome == report.Drift && !it.Meta.Audit {
		res.Guard = Pending(it.Meta.Guard)
	}
	if r.awaitEffect(i) {
		res.Guard = Pending(it.Meta.Guard)
	}
}

// awaitEffect puts off the effect of guarded changes until after that of an item, if that has one which is not confirmed.
func (r *run) awaitEffect(i int) bool {
	it := &r.cat.Items[i]
	if !r.isGuarded(it) || !r.Guard.Waiting(it.Name()) {
		return false
	}
	r.effect = max(r.effect, i+1)
	for _, target := range it.Notifies {
		r.effect = max(r.effect, target+1)
	}
	if _, later := it.Resource.(resource.Finisher); later {
		r.effect = len(r.cat.Items) + 1
	}
	return true
}

// settled tells the guard, after the turn of an item, when all that is guarded has taken effect.
func (r *run) settled(i int) {
	if r.Guard != nil && !r.DryRun && (r.effect > 0 && i+1 >= r.effect || i == len(r.cat.Items)) {
		r.Guard.Settle()
		r.effect = 0
	}
}

// refreshing is the host that an item is refreshed on: what makes a guarded change effective is part of it.
func (r *run) refreshing(i int) *host.Host {
	if own := &r.cat.Items[i]; r.isGuarded(own) {
		return r.Guard.Watch(*own, r.host)
	}
	for n := range r.cat.Items[:i] {
		it := &r.cat.Items[n]
		if it.Meta.Guard > 0 && slices.Contains(it.Notifies, i) && r.isGuarded(it) && r.Guard.Waiting(it.Name()) {
			return r.Guard.Watch(*it, r.host)
		}
	}
	return r.host
}

// Pending says what becomes of a guarded change.
func Pending(timeout time.Duration) string {
	return "reverts unless a check-in succeeds within " + Brief(timeout)
}

// Brief renders a duration as it is written in a policy: 5m, and not 5m0s.
func Brief(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
