package vigocmd

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

// How much of a fleet is shown, in lines, unless everything is.
const (
	statusLines    = 25
	statusChannels = 8
	statusWaiting  = 4
	statusDark     = 3 // hubs
	statusWork     = 3 // maintenances
)

// statusView shows one status.
type statusView struct {
	report.Status
	env   *cli.Env
	wide  bool
	lines []string
}

func printStatus(env *cli.Env, st report.Status, wide bool) {
	v := &statusView{Status: st, env: env, wide: wide}
	v.fleet()
	v.compliance()
	v.channels()
	v.modes()
	v.waiting()
	v.hubs()
	v.maintenance()
	v.reboots()
	v.problems()
	fmt.Fprintln(env.Stdout, strings.Join(v.lines, "\n"))
}

func (v *statusView) say(format string, args ...any) {
	v.lines = append(v.lines, fmt.Sprintf(format, args...))
}

// head is the word a block begins with, as wide as others are.
func (v *statusView) head(word string) string { return v.env.Paint("bold", word) }

func (v *statusView) fleet() {
	p := v.Presences
	line := fmt.Sprintf("%s %s   %s/%s live", v.head("FLEET"), v.Fleet, grouped(p.Live), grouped(p.Total))
	for _, part := range []struct {
		n    int
		word string
	}{{p.Late, "late"}, {p.Stale, "stale"}, {p.Missing, "missing"}, {p.Never, "never seen"}} {
		if part.n > 0 || v.wide {
			line += fmt.Sprintf("  %s %s", grouped(part.n), part.word)
		}
	}
	if v.wide && p.Retired > 0 {
		line += fmt.Sprintf("  (%s retired)", grouped(p.Retired))
	}
	line += "      reports " + perSecond(v.Rate)
	if c := v.newest(); c.Pointer != "" {
		line += fmt.Sprintf("  pointer %s (%s old)", c.Pointer, span.Of(max(0, v.Now.Sub(c.Issued))))
	}
	v.say("%s", line)
	if !v.Amnesty.IsZero() {
		v.say("The service was not listening for a while; nobody is called stale before %s.", v.Amnesty.Local().Format(time.TimeOnly))
	}
}

// newest is the channel whose pointer was issued last.
func (v *statusView) newest() report.Channel {
	if len(v.Channels) == 0 {
		return report.Channel{}
	}
	return slices.MaxFunc(v.Channels, func(a, b report.Channel) int { return a.Issued.Compare(b.Issued) })
}

func (v *statusView) compliance() {
	n := v.Compliances
	line := fmt.Sprintf("%s   %s ok", v.head("COMPLIANCE"), grouped(n.OK))
	if n.Changed > 0 || v.wide {
		line += fmt.Sprintf("  %s changed", grouped(n.Changed))
	}
	line += fmt.Sprintf("  %s repaired/1h  %s failed  %s drift", grouped(n.Repaired), grouped(n.Failed), grouped(n.Drift))
	if n.Never > 0 || v.wide {
		line += fmt.Sprintf("  %s never reported", grouped(n.Never))
	}
	if len(v.Worst) > 0 {
		worst := make([]string, len(v.Worst))
		for i, w := range v.Worst {
			worst[i] = fmt.Sprintf("%s %s", w.Module, grouped(w.Nodes))
		}
		worst[0] += " nodes"
		line += "       worst: " + strings.Join(worst, ", ")
	}
	v.say("%s", line)
}

// channels shows columns of approvals and branches only where there are some.
func (v *statusView) channels() {
	if len(v.Channels) == 0 {
		return
	}
	approved := slices.ContainsFunc(v.Channels, func(c report.Channel) bool { return len(c.Approvals) > 0 })
	several := slices.ContainsFunc(v.Channels, func(c report.Channel) bool { return c.From != "" })
	row := func(cells []string, approvals, from string, wide ...string) []string {
		if approved {
			cells = append(cells, approvals)
		}
		if several {
			cells = append(cells, from)
		}
		if v.wide {
			cells = append(cells, wide...)
		}
		return cells
	}
	rows := [][]string{row([]string{"CHANNEL", "STABLE", "CANDIDATE", "ROLLOUT", "NODES cur/cand/behind"}, "APPROVED BY", "FROM", "AHEAD", "BUNDLE", "POINTER", "ISSUED")}
	shown := v.Channels
	if !v.wide {
		shown = shown[:min(len(shown), statusChannels)]
	}
	for _, c := range shown {
		rows = append(rows, row([]string{c.Channel, orDash(short(c.Commit)), candidate(c), orDash(rolled(c)), fmt.Sprintf("%s/%s/%s", grouped(c.Cur), cand(c), grouped(c.Behind))},
			orDash(strings.Join(c.Approvals, ", ")), orDash(c.From), grouped(c.Ahead), shortDigest(c.Digest), orDash(c.Pointer), span.Ago(v.Now, c.Issued)))
	}
	v.table(rows)
	if more := len(v.Channels) - len(shown); more > 0 {
		v.say("and %d more channels; see `vigo status -o wide`", more)
	}
}

// candidate is what is to follow on a channel: a commit if it is known, else a bundle.
func candidate(c report.Channel) string {
	switch {
	case c.Waiting != nil && c.Waiting.Commit != "":
		return short(c.Waiting.Commit)
	case c.Waiting != nil:
		return shortDigest(c.Waiting.Digest)
	case c.Trial != "":
		return short(c.Trial)
	}
	return orDash(shortDigest(c.Candidate))
}

// cand is how many nodes have the candidate, where there is one.
func cand(c report.Channel) string {
	if c.Candidate == "" && c.Cand == 0 {
		return "-"
	}
	return grouped(c.Cand)
}

// rolled says how far the candidate of a channel is.
func rolled(c report.Channel) string {
	switch w := c.Waiting; {
	case c.Rollout != "":
		return c.Rollout
	case w != nil && w.Needs > 0:
		return fmt.Sprintf("waits: %d of %d approved", len(w.Approved), w.Needs)
	case w != nil:
		return "waits"
	}
	return ""
}

// waiting says what people are asked to approve.
func (v *statusView) waiting() {
	left := statusWaiting
	for _, c := range v.Channels {
		w := c.Waiting
		if w == nil || left == 0 && !v.wide {
			continue
		}
		left--
		why := w.Reason
		if w.Needs > 0 {
			why = fmt.Sprintf("%d of %d approved (%s), %d missing", len(w.Approved), w.Needs, shorts(w.Approved, "nobody"), w.Missing)
		}
		v.say("%s   %s  %s of commit %s, asked %s: %s", v.head("WAITING"), c.Channel, shortDigest(w.Digest), orDash(short(w.Commit)), span.Ago(v.Now, w.Since), why)
	}
}

// hubs says in one line how the hubs are.
func (v *statusView) hubs() {
	if len(v.Hubs) == 0 {
		return
	}
	well, dark := 0, []string{}
	for _, h := range v.Hubs {
		switch h.Presence {
		case report.Stale, report.Missing:
			dark = append(dark, fmt.Sprintf("%s %s %s (%s nodes)", h.Name, v.env.Paint("red", "DARK"), span.Of(v.Now.Sub(h.Seen)), grouped(h.Nodes)))
		case report.Live, report.Late:
			well++
		}
	}
	if more := len(dark) - statusDark; more > 0 && !v.wide {
		dark = append(dark[:statusDark], fmt.Sprintf("and %d more", more))
	}
	v.say("%s", strings.TrimRight(fmt.Sprintf("%s   %d/%d ok   %s", v.head("HUBS"), well, len(v.Hubs), strings.Join(dark, "  ")), " "))
}

// maintenance says what people work on now.
func (v *statusView) maintenance() {
	for i, m := range v.Maintenance {
		if i == statusWork && !v.wide {
			v.say("and %d more maintenances; see `vigo status -o wide`", len(v.Maintenance)-i)
			return
		}
		v.say("%s   %s nodes until %s, by %s: %s", v.head("MAINTENANCE"), maintenanceNodes(m), stamp(m.Until), orDash(m.By), m.Reason)
	}
}

// maxProblem is how many characters of a problem are shown on its one line.
const maxProblem = 200

func (v *statusView) problems() {
	if v.ProblemCount == 0 {
		v.say("%s", v.env.Paint("green", "no problems"))
		return
	}
	v.say("%s", v.env.Paint("red", "PROBLEMS"))
	shown := v.Problems
	if room := statusLines - len(v.lines); !v.wide && v.ProblemCount > room {
		shown = shown[:min(len(shown), room-1)]
	}
	var rows [][]string
	for _, p := range shown {
		text, rest, _ := strings.Cut(strings.ReplaceAll(p.Text, "\t", " "), "\n")
		if !v.wide {
			more := andMore(rest)
			text, rest = cut(text, maxProblem-len(more))+more, ""
		}
		rows = append(rows, []string{"  " + subject(p), p.Kind, text, strings.Join(v.more(p), "   ")})
		if rest != "" {
			v.table(rows)
			v.say("      %s", strings.ReplaceAll(rest, "\n", "\n      "))
			rows = nil
		}
	}
	v.table(rows)
	if more := v.ProblemCount - len(shown); more > 0 {
		v.say("  and %s more; see `vigo status -o wide`", grouped(more))
	}
}

// andMore says how many lines of a problem are not shown.
func andMore(rest string) string {
	if rest = strings.TrimSpace(rest); rest == "" {
		return ""
	}
	return fmt.Sprintf(" (and %d more lines: -o wide)", strings.Count(rest, "\n")+1)
}

// subject is what a problem is of.
func subject(p report.Problem) string {
	switch {
	case p.Kind == "store":
		return "service"
	case p.Node == "":
		return orDash(p.Channel)
	}
	return p.Node
}

// more is how often, since when, of what commit and behind which hub.
func (v *statusView) more(p report.Problem) []string {
	var parts []string
	at := p.First.Local()
	form := "15:04"
	if v.Now.Sub(p.First) > 20*time.Hour {
		form = "Jan 2 15:04"
	}
	switch {
	case p.Count > 1:
		parts = append(parts, fmt.Sprintf("%dx, first %s", p.Count, at.Format(form)))
	case p.Kind == "store" && !p.First.IsZero():
		parts = append(parts, "since "+at.Format(form))
	}
	if p.Commit != "" && (p.Kind == "failed" || p.Kind == "drift" || p.Kind == "channel") {
		parts = append(parts, short(p.Commit))
	}
	if p.Hub != "" {
		parts = append(parts, "hub "+p.Hub)
	}
	return parts
}

// table adds rows with aligned columns.
func (v *statusView) table(rows [][]string) {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // into memory
	for line := range strings.Lines(b.String()) {
		v.lines = append(v.lines, strings.TrimRight(line, " \n"))
	}
}

// printTroubled names each subject of a problem once.
func printTroubled(env *cli.Env, st report.Status) {
	seen := map[string]bool{}
	for _, p := range st.Problems {
		name := cmp.Or(p.Node, p.Channel)
		if name != "" && !seen[name] {
			seen[name] = true
			fmt.Fprintln(env.Stdout, name)
		}
	}
}

// grouped is a number with a comma for every three digits.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// perSecond is a rate that people can read.
func perSecond(rate float64) string {
	if rate < 10 {
		return fmt.Sprintf("%.1f/s", rate)
	}
	return grouped(int(rate+.5)) + "/s"
}

// cut shortens a text to so many characters.
func cut(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}
