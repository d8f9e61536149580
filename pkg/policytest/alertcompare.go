package policytest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/alert"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// at is how it was at a time.
func (p *play) at(when time.Time) map[string]*alert.Alert {
	var alerts map[string]*alert.Alert
	for _, s := range p.seen {
		if s.at.After(when) {
			break
		}
		alerts = s.alerts
	}
	return alerts
}

// compare finds what was expected and not told, and what was told and not expected.
func (p *play) compare(file string) (problems fault.Problems) {
	fail := func(line int, format string, args ...any) {
		problems = append(problems, fault.Problem{Pos: fault.Pos{File: file, Line: line}, Msg: fmt.Sprintf(format, args...)})
	}
	used := make([]bool, len(p.told))
	for _, want := range p.test.Expect {
		kinds, keys := want.words()
		if kinds[0] == "inhibited" || kinds[0] == "muted" {
			if text := p.quiet(kinds[0], keys[0], want); text != "" {
				fail(want.line, "%s", text)
			}
			continue
		}
		at := slices.IndexFunc(p.told, func(t report.Transition) bool {
			return t.Kind == kinds[0] && t.Key == keys[0] && t.At.Sub(noon) == want.At
		})
		if at < 0 {
			fail(want.line, "want at %s: %s %s; %s", want.At, kinds[0], keys[0], p.others(keys[0]))
			continue
		}
		used[at] = true
		for _, text := range differs(p.told[at], p.to[at], want) {
			fail(want.line, "%s %s: %s", kinds[0], keys[0], text)
		}
	}
	for i, t := range p.told {
		if !used[i] {
			fail(0, "nobody expects, at %s: %s %s", t.At.Sub(noon), t.Kind, t.Key)
		}
	}
	return problems
}

// others says what was told of an alert.
func (p *play) others(key string) string {
	var list []string
	for _, t := range p.told {
		if t.Key == key {
			list = append(list, fmt.Sprintf("%s at %s", t.Kind, t.At.Sub(noon)))
		}
	}
	if len(list) > 0 {
		return "it was told: " + strings.Join(list, ", ")
	}
	var keys []string
	for _, t := range p.told {
		if !slices.Contains(keys, t.Key) {
			keys = append(keys, t.Key)
		}
	}
	if near := fault.DidYouMean(key, keys); near != "" {
		return "nothing was told of it; " + near
	}
	return "nothing was told of it"
}

// quiet says how an alert is not as it is expected to be; "": it is.
func (p *play) quiet(kind, key string, want Told) string {
	a := p.at(noon.Add(want.At))[key]
	switch {
	case a == nil:
		return fmt.Sprintf("at %s there is no alert %s; there are: %s", want.At, key, strings.Join(slices.Sorted(maps.Keys(p.at(noon.Add(want.At)))), ", "))
	case kind == "muted" && a.Muted == "":
		return fmt.Sprintf("at %s %s is not muted", want.At, key)
	case kind == "inhibited" && a.Inhibited == "":
		return fmt.Sprintf("at %s %s is not inhibited", want.At, key)
	case kind == "inhibited" && want.By != "" && want.By != a.Inhibited:
		return fmt.Sprintf("at %s %s is inhibited by %s, want %s", want.At, key, a.Inhibited, want.By)
	}
	return ""
}

func differs(t report.Transition, to []string, want Told) (list []string) {
	if want.Count != nil && *want.Count != t.Count {
		list = append(list, fmt.Sprintf("want %d found, got %d", *want.Count, t.Count))
	}
	if want.Of != nil {
		var got []string
		for _, f := range t.Findings {
			got = append(got, f.Subject)
		}
		if of := slices.Sorted(slices.Values(want.Of)); !slices.Equal(of, got) {
			list = append(list, fmt.Sprintf("want %s, got %s", nameList(of), nameList(got)))
		}
	}
	if want.Notify != nil {
		got, notify := slices.Sorted(slices.Values(to)), slices.Sorted(slices.Values(want.Notify))
		if !slices.Equal(got, notify) {
			list = append(list, fmt.Sprintf("want %s to be told, got %s", nameList(notify), nameList(got)))
		}
	}
	return list
}
