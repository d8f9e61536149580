package reporting

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/report"
)

// The limits on what those who are refused can put before the eyes of people.
const (
	awayFor = time.Hour // how long a refused request is a problem after its last attempt
	maxAway = 100       // different ones at a time; the rest is in the audit log
)

// turnedAway remembers requests that were refused because somebody is not who they say they are, or does again what may be
// done once: forged and replayed requests, certificates of another node, retired nodes, tokens that are used up.
type turnedAway struct {
	mu   sync.Mutex
	list map[attempt]*attempts
	news []report.Event // not written yet
}

// attempt is what makes two of them the same.
type attempt struct{ name, address, code string }

type attempts struct {
	first, last time.Time
	count       int
	text        string
}

// attacks reports whether a refusal wants a person. That an operator mistyped a credential, or may not do something, is in
// the audit log only.
func attacks(code string) bool {
	return !slices.Contains([]string{api.ErrUnauthorized.Code, api.ErrForbidden.Code}, code)
}

// hear counts a refused request.
func (t *turnedAway) hear(by audit.Caller, route, code, why string, now time.Time) {
	if !attacks(code) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := attempt{by.Name, by.Address, code}
	a := t.list[key]
	if a == nil || now.Sub(a.last) > awayFor {
		if t.forget(now); len(t.list) >= maxAway {
			return
		}
		text := fmt.Sprintf("%s: %s (%s from %s)", code, why, route, cmp.Or(by.Address, "an unknown address"))
		a = &attempts{first: now, text: strings.ToValidUTF8(text[:min(len(text), maxEventText)], "")}
		t.list[key] = a
		t.news = append(t.news, report.Event{At: now.UTC(), Node: by.Name, Kind: "request.refused", Text: a.text})
	}
	a.last = now
	a.count++
}

// forget drops what is long ago. The caller holds the lock.
func (t *turnedAway) forget(now time.Time) {
	if t.list == nil {
		t.list = map[attempt]*attempts{}
	}
	maps.DeleteFunc(t.list, func(_ attempt, a *attempts) bool { return now.Sub(a.last) > awayFor })
}

// take returns the events that are to be written.
func (t *turnedAway) take() []report.Event {
	t.mu.Lock()
	defer t.mu.Unlock()
	news := t.news
	t.news = nil
	return news
}

// problems is what was refused within the last hour.
func (t *turnedAway) problems(now time.Time) []report.Problem {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	var list []report.Problem
	for key, a := range t.list {
		list = append(list, report.Problem{Kind: "request", Node: key.name, Text: a.text, First: a.first.UTC(), Count: a.count})
	}
	return list
}
