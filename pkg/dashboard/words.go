package dashboard

import (
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"vigo.dev/pkg/excerpt"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

// words are what templates can say.
func words(a assets) template.FuncMap {
	return template.FuncMap{
		"asset": a.path, "ago": span.Ago, "span": span.Of, "short": short, "digest": shortDigest, "clock": clock, "stamp": stamp, "mark": mark, "num": num,
		"value": valueText, "labels": labelText, "presences": presenceTiles, "compliances": complianceTiles, "silent": silent, "orDash": orDash,
		"lines": diffLines, "join": strings.Join, "kind": problemClass, "channelBar": channelBar, "presenceBar": presenceBar, "complianceBar": complianceBar,
		"pointers": pointers, "cut": cut, "details": details, "severity": severityClass, "tab": newTab, "choice": newChoice, "orders": orders, "heard": heard,
		"phase": phaseClass, "word": wordClass, "stage": stageClass, "nodesBar": rolloutBar,
	}
}

// mark is a sign for a state, so that colour is never the only one.
func mark(state any) string {
	signs := map[string]string{
		"live": "●", "late": "◐", "stale": "○", "missing": "✕", "never": "·", "retired": "–",
		"ok": "✓", "changed": "↻", "corrected": "↻", "drift": "≠", "failed": "✕", "skipped": "»",
		"current": "=", "candidate": "▷", "behind": "←", "ahead": "→", "unknown": "?",
	}
	return signs[fmt.Sprint(state)]
}

// problemClass is the state that the kind of a problem looks like.
func problemClass(kind string) string {
	switch kind {
	case "stale", "behind", "frozen", "mirror", "ahead", "silent":
		return "stale"
	case "drift":
		return "drift"
	}
	return "failed"
}

func silent(p report.Presence) bool { return p != report.Live && p != report.Late }

// clock is a time for people; stamp is the same for programs.
func clock(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func short(commit string) string { return orDash(commit[:min(7, len(commit))]) }

// shortDigest is a digest that people can compare by eye.
func shortDigest(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return orDash(hex[:min(12, len(hex))])
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// num renders a count with commas.
func num(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// cut shortens a text that may be long.
func cut(most int, s string) string { return excerpt.Of(s, most) }

// valueText renders a value of a trait.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return "–"
	case string:
		return v
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}

func labelText(labels map[string]string) []string {
	list := make([]string, 0, len(labels))
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, key+"="+labels[key])
	}
	return list
}

// details are the pairs of an audit entry, in the order of their names.
func details(m map[string]string) []string { return labelText(m) }

// pointers says which pointer a hub shows of each channel.
func pointers(mirrors map[string]string) string {
	list := make([]string, 0, len(mirrors))
	for _, channel := range slices.Sorted(maps.Keys(mirrors)) {
		list = append(list, channel+" "+mirrors[channel])
	}
	return orDash(strings.Join(list, ", "))
}

// diffLine is a line of a unified diff with what it does.
type diffLine struct{ Class, Text string }

// maxDiff bounds the lines that are shown of a diff.
const maxDiff = 200

func diffLines(diff string) []diffLine {
	texts := strings.Split(strings.TrimRight(diff, "\n"), "\n")
	more := len(texts) - maxDiff
	lines := make([]diffLine, 0, min(len(texts), maxDiff))
	for _, text := range texts[:min(len(texts), maxDiff)] {
		class := "same"
		switch {
		case strings.HasPrefix(text, "+"):
			class = "add"
		case strings.HasPrefix(text, "-"):
			class = "del"
		case strings.HasPrefix(text, "@@"):
			class = "at"
		}
		lines = append(lines, diffLine{class, text})
	}
	if more > 0 {
		lines = append(lines, diffLine{"at", fmt.Sprintf("and %d more lines", more)})
	}
	return lines
}

// tab is an entry of the navigation.
type tab struct {
	Href, Text string
	Here       bool
}

func newTab(section, name, href, text string) tab { return tab{href, text, section == name} }

// choice is what a field of a form can be, and is.
type choice struct {
	Now string
	Of  []string
}

func newChoice(now any, of ...string) choice { return choice{fmt.Sprint(now), of} }

// option is a value of a field with its name.
type option struct{ Value, Text string }

func orders() []option {
	return []option{{"problems", "problems first"}, {"name", "name"}, {"seen", "longest silent first"}}
}
