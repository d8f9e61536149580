package alert

import "time"

// Wake is when a step may next decide something although the same is found as now; zero: never. The service looks each second
// all the same; tests of rules go from one such moment to the next.
func Wake(setup Setup, s State, now time.Time) time.Time {
	w := waker{now: now}
	m := moment{setup: setup}
	for _, a := range s.Alerts {
		rule := m.rule(a.Rule)
		for _, it := range a.Items {
			switch {
			case !it.On:
				w.at(it.Since.Add(rule.For))
			case !it.Gone.IsZero():
				w.at(it.Gone.Add(rule.Leave))
			}
		}
		if !a.Told.IsZero() {
			w.at(a.Told.Add(grownAfter))
			if rule.Repeat > 0 {
				w.at(a.Told.Add(rule.Repeat))
			}
		}
	}
	for _, mute := range setup.Mutes {
		w.at(mute.Until)
	}
	for name, q := range s.Queues {
		if len(q.Waiting) > 0 {
			w.at(q.Since.Add(setup.Caps[name].usual().Gather))
		}
	}
	return w.next
}

type waker struct{ now, next time.Time }

func (w *waker) at(t time.Time) {
	if t.After(w.now) && (w.next.IsZero() || t.Before(w.next)) {
		w.next = t
	}
}
