package reporting

import (
	"fmt"
	"sync"
	"time"

	"vigo.dev/pkg/audit"
)

// The limits on what those who are refused can put into the audit log.
const (
	maxRefused = 100  // entries in a minute, beside one that counts the rest
	maxWaiting = 1000 // refusals that wait for a store that cannot be written
)

// refusals gathers requests that were refused for who sent them. The first of its sort in a minute is an entry at once,
// and those that follow are counted into another one when the minute is over: who asks a million times does not fill the
// store, and the record still says how often.
type refusals struct {
	mu      sync.Mutex
	minute  time.Time
	again   map[refusal]int
	whys    map[refusal]string
	others  int
	waiting []audit.Entry
}

// refusal is what makes two of them the same.
type refusal struct {
	by          audit.Caller
	route, code string
}

func (k refusal) entry(why, times string) audit.Entry {
	actor := k.by.Name
	if actor == "" {
		actor = "unknown"
	}
	return audit.Entry{Actor: actor, Role: k.by.Role, Act: audit.Refused, Object: k.route, Address: k.by.Address,
		Detail: map[string]string{"code": k.code, "why": why, "again": times}}
}

// Refused implements api.Auditor.
func (s *Service) Refused(by audit.Caller, route, code, why string) {
	r := &s.auditor.refusals
	now := s.Now()
	s.away.hear(by, route, code, why, now)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	key := refusal{by, route, code}
	_, known := r.again[key]
	switch {
	case known:
		r.again[key]++
	case len(r.again) >= maxRefused:
		r.others++
	default:
		r.again[key], r.whys[key] = 0, why
		r.wait(key.entry(why, ""))
	}
}

// Pushed takes note of what a person has pushed into the registry of the fleet; it does not wait for the disk.
func (s *Service) Pushed(by audit.Caller, request, what string) {
	r := &s.auditor.refusals
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wait(audit.Entry{Actor: by.Name, Role: by.Role, Act: audit.Pushed, Object: request, Address: by.Address, Detail: map[string]string{"what": what}})
}

// turn begins another minute when it is time. The caller holds the lock.
func (r *refusals) turn(now time.Time) {
	minute := now.Truncate(time.Minute)
	if minute.Equal(r.minute) && r.again != nil {
		return
	}
	for key, n := range r.again {
		if n > 0 {
			r.wait(key.entry(r.whys[key], fmt.Sprintf("%d times in the minute of %s", n, r.minute.UTC().Format("15:04"))))
		}
	}
	if r.others > 0 {
		r.wait(audit.Entry{Actor: "unknown", Act: audit.Refused, Object: "others",
			Detail: map[string]string{"again": fmt.Sprintf("%d in the minute of %s", r.others, r.minute.UTC().Format("15:04"))}})
	}
	r.minute, r.again, r.whys, r.others = minute, map[refusal]int{}, map[refusal]string{}, 0
}

func (r *refusals) wait(e audit.Entry) {
	if len(r.waiting) < maxWaiting {
		r.waiting = append(r.waiting, e)
	}
}

// later has an entry written with the next ones; there are at most as many as nodes.
func (r *refusals) later(e audit.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, e)
}

// take returns what is to be written.
func (r *refusals) take(now time.Time) []audit.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn(now)
	waiting := r.waiting
	r.waiting = nil
	return waiting
}

// giveBack returns what could not be written.
func (r *refusals) giveBack(waiting []audit.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(waiting, r.waiting...)
}
