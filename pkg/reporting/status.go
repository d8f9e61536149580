package reporting

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/report"
)

// Status implements api.Operators.
func (s *Service) Status(ctx context.Context, problems int) (report.Status, error) {
	rolling := s.rollingNow(ctx)
	now := s.Now()
	st := report.Status{Fleet: s.Fleet, Now: now.UTC(), Since: s.began.UTC(), Channels: []report.Channel{}}
	channels, worst, all := map[string]*report.Channel{}, map[string]int{}, []report.Problem{}
	var hubs []*node
	behind := map[string]int{}
	s.eachNode(func(n *node) {
		if n.Hub {
			hubs = append(hubs, n)
			return
		}
		ns := s.nodeStatus(n, now)
		st.Presences.Add(ns.Presence)
		if ns.Presence == report.Retired {
			return
		}
		behind[n.account.Last.Hub]++
		st.Compliances.Add(ns.Compliance)
		if now.Sub(n.account.Changed) < time.Hour {
			st.Compliances.Repaired++
		}
		count(channels, ns)
		for module := range modulesOf(n.account.Failed) {
			worst[module]++
		}
		all = append(all, s.problems(n, ns, now)...)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Rate = s.rate.perSecond(now)
	if until := s.hearing.amnesty(s.longest()); now.Before(until) {
		st.Amnesty = until.UTC()
	}
	for name, note := range s.channels {
		if channels[name] == nil {
			channels[name] = &report.Channel{}
		}
		note.Rollout = rolling[name]
		channels[name].ChannelNote = note
	}
	for _, name := range slices.Sorted(maps.Keys(channels)) {
		st.Channels = append(st.Channels, *channels[name])
		all = append(all, s.channelProblems(channels[name].ChannelNote, now)...)
	}
	all = append(all, storeProblems(s.DB.Stats())...)
	all = append(all, s.away.problems(now)...)
	all = append(all, s.alerts.problems(now)...)
	var overdue []report.Problem
	st.Reboots, overdue = s.rebootsNow()
	all = append(all, overdue...)
	var inHubs []report.Problem
	st.Hubs, inHubs = s.hubs(hubs, behind, now)
	all = append(all, inHubs...)
	st.Worst = topModules(worst)
	st.Maintenance = slices.DeleteFunc(s.maintenances(now), func(m report.MaintenanceStatus) bool { return !m.Now(now) })
	slices.SortFunc(all, func(a, b report.Problem) int {
		return cmp.Or(cmp.Compare(rank(a.Kind), rank(b.Kind)), strings.Compare(a.Node, b.Node), strings.Compare(a.Text, b.Text))
	})
	st.ProblemCount = len(all)
	st.Problems = all[:min(len(all), max(problems, 0))]
	return st, nil
}

func count(channels map[string]*report.Channel, n report.NodeStatus) {
	c, ok := channels[n.Channel]
	if !ok {
		c = &report.Channel{ChannelNote: report.ChannelNote{Channel: n.Channel}}
		channels[n.Channel] = c
	}
	c.Nodes++
	switch n.Digest {
	case report.DigestCurrent:
		c.Cur++
	case report.DigestBehind:
		c.Behind++
	case report.DigestAhead:
		c.Ahead++
	case report.DigestCandidate:
		c.Cand++
	}
}

// rank orders kinds of problems, worst first.
func rank(kind string) int {
	order := []string{"store", "refused", "request", "channel", "expired", "silent", "alert", "quarantine", "dark", "mirror", "ahead", "failed", "reboot", "missing", "stale", "behind", "frozen", "drift"}
	if at := slices.Index(order, kind); at >= 0 {
		return at
	}
	return len(order)
}

// problems is what wants a person on one node.
func (s *Service) problems(n *node, ns report.NodeStatus, now time.Time) []report.Problem {
	var list []report.Problem
	add := func(kind, text string, first time.Time, count int) {
		list = append(list, report.Problem{Kind: kind, Node: n.Name, Channel: ns.Channel, Text: text, First: first, Count: count, Hub: ns.Hub, Bundle: ns.Bundle, Commit: ns.Commit})
	}
	switch {
	case silent(ns.Presence) && !s.behindDark(n, now) && !s.rebooting(n.Name):
		add(string(ns.Presence), fmt.Sprintf("last seen %s ago (interval %s)", now.Sub(n.seen).Round(time.Second), n.told), n.seen, 0)
	}
	for _, r := range ns.Refusals {
		add("refused", r.Name+": "+r.Detail+what(r.What), r.First, r.Count)
	}
	switch ns.Compliance {
	case report.ComplianceFailed, report.ComplianceDrift:
		kind := "failed"
		if ns.Compliance == report.ComplianceDrift {
			kind = "drift"
		}
		add(kind, cmp.Or(ns.Reason, "the details have not arrived yet"), n.account.First, n.account.Failing)
	}
	if ns.Presence == report.Live {
		if kind, text, first := s.lag(n, ns, now); kind != "" {
			add(kind, text, first, 0)
		}
	}
	list = append(list, quarantineProblem(ns)...)
	if ns.Maintenance != nil {
		list = slices.DeleteFunc(list, func(p report.Problem) bool { return p.Kind != "refused" && p.Kind != "ahead" && p.Kind != "quarantine" })
	}
	return list
}

// patience is how many intervals a node that checks in may take to follow its channel.
const patience = 5

// lag says what is wrong when a node that is well does not follow its channel.
func (s *Service) lag(n *node, ns report.NodeStatus, now time.Time) (kind, text string, first time.Time) {
	note := s.channels[ns.Channel]
	since := note.Since
	if since.Before(n.Enrolled) {
		since = n.Enrolled
	}
	late, long := now.Sub(since), patience*n.told
	switch {
	case ns.Digest == report.DigestAhead && now.Sub(n.account.Ahead) > long:
		return "ahead", fmt.Sprintf("has accepted pointer %s of %s, the service was told of %s: does the controller reach the service, and is it the only one with its keys?",
			ns.Pointer, ns.Channel, note.Pointer), n.account.Ahead
	case ns.Digest == report.DigestUnknown || ns.Digest == report.DigestAhead || ns.Digest == report.DigestCandidate || late <= long:
		return "", "", time.Time{}
	case ns.Bundle == "":
		return "behind", fmt.Sprintf("enforces nothing yet; %s publishes %.19s since %s", ns.Channel, note.Digest, late.Round(time.Second)), since
	case ns.Digest == report.DigestBehind && ns.Pinned:
		return "behind", fmt.Sprintf("is pinned to %.19s by somebody on it (%s); %s publishes %.19s since %s", ns.Bundle, cmp.Or(ns.Why, "vigo-agent unpin"), ns.Channel, note.Digest, late.Round(time.Second)), since
	case ns.Digest == report.DigestBehind:
		return "behind", fmt.Sprintf("enforces %.19s; %s publishes %.19s since %s", ns.Bundle, ns.Channel, note.Digest, late.Round(time.Second)), since
	case report.ComparePointers(ns.Pointer, note.Pointer) < 0:
		return "frozen", fmt.Sprintf("has pointer %s; %s publishes %s since %s: something between shows it an old one", ns.Pointer, ns.Channel, note.Pointer, late.Round(time.Second)), since
	}
	return "", "", time.Time{}
}

func what(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// silence is how long a controller, which says every minute what it publishes, may not be heard of.
const silence = 10 * time.Minute

func (s *Service) channelProblems(n report.ChannelNote, now time.Time) []report.Problem {
	var list []report.Problem
	if n.Error != "" {
		list = append(list, report.Problem{Kind: "channel", Channel: n.Channel, Text: n.Error, First: n.ErrorSince, Commit: n.ErrorCommit})
	}
	if !n.Expires.IsZero() && now.After(n.Expires) {
		list = append(list, report.Problem{Kind: "expired", Channel: n.Channel, Text: "pointer " + n.Pointer + " is past its time; is the controller running?", First: n.Expires})
	}
	heard := n.Heard
	if heard.Before(s.hearing.back) {
		heard = s.hearing.back
	}
	if quiet := now.Sub(heard); !n.Heard.IsZero() && quiet > silence {
		list = append(list, report.Problem{Kind: "silent", Channel: n.Channel, First: n.Heard,
			Text: fmt.Sprintf("the controller was last heard of %s ago: is it running, and does it reach this service?", now.Sub(n.Heard).Round(time.Second))})
	}
	return list
}

// modulesOf are the modules of the resources that fail.
func modulesOf(failed map[string]string) map[string]bool {
	modules := map[string]bool{}
	for id, outcome := range failed {
		if outcome == string(report.Skipped) {
			continue
		}
		module, _, _ := strings.Cut(id, "/")
		modules[module] = true
	}
	return modules
}

func topModules(counts map[string]int) []report.Worst {
	var list []report.Worst
	for module, n := range counts {
		list = append(list, report.Worst{Module: module, Nodes: n})
	}
	slices.SortFunc(list, func(a, b report.Worst) int {
		return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), strings.Compare(a.Module, b.Module))
	})
	return list[:min(len(list), 5)]
}

// rate counts events of the last minute, second by second.
type rate struct {
	counts [60]int
	at     [60]int64
}

func (r *rate) add(now time.Time) {
	second := now.Unix()
	i := second % 60
	if r.at[i] != second {
		r.at[i], r.counts[i] = second, 0
	}
	r.counts[i]++
}

func (r *rate) perSecond(now time.Time) float64 {
	sum := 0
	for i, at := range r.at {
		if now.Unix()-at < 60 {
			sum += r.counts[i]
		}
	}
	return float64(sum) / 60
}
