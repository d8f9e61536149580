package dashboard

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

// A bar is a stacked bar, drawn by the server: what is not zero can be seen, however little it is.
type bar struct {
	Label string // for who does not see it
	Parts []part
}

// part is one colour of a bar; X and W are thousandths of its width.
type part struct {
	Class, Name string
	Count       int
	X, W        float64
}

const (
	barWidth  = 1000.0
	leastPart = 12.0
)

func newBar(what string, parts ...part) bar {
	total, kept := 0, parts[:0]
	for _, p := range parts {
		if p.Count > 0 {
			total += p.Count
			kept = append(kept, p)
		}
	}
	room := barWidth - leastPart*float64(len(kept))
	said := make([]string, len(kept))
	x := 0.0
	for i := range kept {
		p := &kept[i]
		p.X, p.W = x, leastPart+room*float64(p.Count)/float64(total)
		x += p.W
		said[i] = fmt.Sprintf("%d %s", p.Count, p.Name)
	}
	return bar{Label: what + ": " + strings.Join(said, ", "), Parts: kept}
}

func presenceBar(p report.Presences) bar {
	return newBar("presence", part{Class: "live", Name: "live", Count: p.Live}, part{Class: "late", Name: "late", Count: p.Late},
		part{Class: "stale", Name: "stale", Count: p.Stale}, part{Class: "missing", Name: "missing", Count: p.Missing}, part{Class: "never", Name: "never seen", Count: p.Never})
}

func complianceBar(c report.Compliances) bar {
	return newBar("compliance", part{Class: "ok", Name: "ok", Count: c.OK}, part{Class: "changed", Name: "changed", Count: c.Changed},
		part{Class: "drift", Name: "drift", Count: c.Drift}, part{Class: "failed", Name: "failed", Count: c.Failed}, part{Class: "never", Name: "never ran", Count: c.Never})
}

func channelBar(c report.Channel) bar {
	return newBar("nodes of "+c.Channel, part{Class: "ok", Name: "current", Count: c.Cur}, part{Class: "stale", Name: "behind", Count: c.Behind},
		part{Class: "changed", Name: "ahead", Count: c.Ahead}, part{Class: "never", Name: "not known", Count: c.Nodes - c.Cur - c.Behind - c.Ahead})
}

// tile is a counter that leads to the nodes it counts.
type tile struct {
	State, Name, Href string
	Count             int
}

func presenceTiles(p report.Presences) []tile {
	return []tile{{"live", "live", "/ui/nodes?presence=live", p.Live}, {"late", "late", "/ui/nodes?presence=late", p.Late}, {"stale", "stale", "/ui/nodes?presence=stale", p.Stale},
		{"missing", "missing", "/ui/nodes?presence=missing", p.Missing}, {"never", "never seen", "/ui/nodes?presence=never", p.Never}}
}

func complianceTiles(c report.Compliances) []tile {
	return []tile{{"ok", "ok", "/ui/nodes?compliance=ok", c.OK}, {"changed", "changed", "/ui/nodes?compliance=changed", c.Changed}, {"drift", "drift", "/ui/nodes?compliance=drift", c.Drift},
		{"failed", "failed", "/ui/nodes?compliance=failed", c.Failed}, {"never", "never ran", "/ui/nodes?compliance=never", c.Never}}
}

// runBar is one run in the chart of a node: the higher, the longer it took.
type runBar struct {
	Class, Title string
	X, Y, W, H   float64
}

// The measures of the chart of runs.
const (
	chartWidth, chartHeight = 600.0, 60.0
	mostBars                = 20
)

// runBars draws runs, which are newest first, from the oldest to the newest.
func runBars(runs []report.Run) []runBar {
	runs = slices.Clone(runs[:min(len(runs), mostBars)])
	slices.Reverse(runs)
	longest := time.Second
	for _, r := range runs {
		longest = max(longest, r.Took)
	}
	step := chartWidth / mostBars
	bars := make([]runBar, len(runs))
	for i, r := range runs {
		h := 6 + (chartHeight-6)*math.Sqrt(float64(max(0, r.Took))/float64(longest))
		bars[i] = runBar{Class: string(r.Compliance()), X: float64(i)*step + 2, Y: chartHeight - h, W: step - 4, H: h,
			Title: fmt.Sprintf("%s %s, %s: %d changed, %d corrected, %d failed, %d drift", clock(r.Started), r.Compliance(), span.Of(r.Took),
				r.Counts.Changed, r.Counts.Corrected, r.Counts.Failed, r.Counts.Drift)}
	}
	return bars
}
