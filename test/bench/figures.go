package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// A figure is one measured value, or the reason why there is none.
type figure struct {
	Section string  `json:"section"`
	What    string  `json:"what"`
	Who     string  `json:"who"`             // vigo, or what it stands beside
	Value   float64 `json:"value,omitempty"` // in Unit
	Unit    string  `json:"unit,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"` // of this to ours, for what stands beside; of ours to the limit, where the goal is a ratio
	Goal    string  `json:"goal,omitempty"`
	Verdict string  `json:"verdict,omitempty"` // ok or missed
	Note    string  `json:"note,omitempty"`
}

// figures is all that a run found.
type figures struct {
	Date    time.Time `json:"date"`
	Machine string    `json:"machine"`
	Load    string    `json:"load"` // the load averages of proc_loadavg(5) at the end: above the number of CPUs, others were at work
	Figures []figure  `json:"figures"`
	Failed  []string  `json:"failed,omitempty"`
}

func newFigures() figures {
	return figures{Date: time.Now().UTC().Truncate(time.Second), Machine: fmt.Sprintf("%d CPUs, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
}

// loadAverages is how many threads wanted a CPU in the last 1, 5 and 15 minutes; this program's own among them.
func loadAverages() (string, error) {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "", err
	}
	f := strings.Fields(string(data))
	if len(f) < 3 {
		return "", fmt.Errorf("reading the load averages: %q", data)
	}
	return strings.Join(f[:3], " "), nil
}

func (r *figures) add(f ...figure) { r.Figures = append(r.Figures, f...) }

// atMost is a figure with the most that it may be.
func atMost(f figure, most float64) figure {
	f.Goal = fmt.Sprintf("≤ %s", amount(most, f.Unit))
	f.Verdict = verdict(f.Value <= most)
	return f
}

// ratioAtMost is a figure whose ratio to a limit is what the goal is about.
func ratioAtMost(f figure, limit, most float64) figure {
	f.Ratio = f.Value / limit
	f.Goal = fmt.Sprintf("≤ %gx", most)
	f.Verdict = verdict(f.Ratio <= most)
	return f
}

func verdict(met bool) string {
	if met {
		return "ok"
	}
	return "missed"
}

// amount renders a value for people.
func amount(v float64, unit string) string {
	switch {
	case unit == "":
		return fmt.Sprintf("%g", v)
	case v == float64(int64(v)) || v >= 100:
		return fmt.Sprintf("%.0f %s", v, unit)
	case v >= 10:
		return fmt.Sprintf("%.1f %s", v, unit)
	}
	return fmt.Sprintf("%.3f %s", v, unit)
}

func (r figures) print(w io.Writer, format string) error {
	if format == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	fmt.Fprintf(w, "%s, %s, load averages at the end %s\n", r.Date.Format(time.RFC3339), r.Machine, r.Load)
	section, missed := "", 0
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range r.Figures {
		if f.Section != section {
			section = f.Section
			fmt.Fprintf(tw, "\n%s\n", section)
		}
		if f.Verdict == "missed" {
			missed++
		}
		fmt.Fprintln(tw, strings.TrimRight("  "+strings.Join(f.cells(), "\t"), "\t "))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for _, text := range r.Failed {
		fmt.Fprintf(w, "\nNOT MEASURED: %s", text)
	}
	if missed > 0 {
		fmt.Fprintf(w, "\n%d goals are MISSED.\n", missed)
	} else {
		fmt.Fprintln(w, "\nNo measured goal is missed.")
	}
	return nil
}

func (f figure) cells() []string {
	value, ratio, goal := "-", "", ""
	if f.Unit != "" {
		value = amount(f.Value, f.Unit)
	}
	if f.Ratio != 0 {
		ratio = fmt.Sprintf("%.2fx", f.Ratio)
	}
	if f.Goal != "" {
		goal = "goal " + f.Goal + ": " + f.Verdict
	}
	return []string{f.What, f.Who, value, ratio, goal, f.Note}
}
