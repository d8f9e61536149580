package vigocmd

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/fleetsim"
)

// showFigures is what was measured, for people. What was lost gives the command its own status.
func showFigures(env *cli.Env, f fleetsim.Figures) error {
	var rows [][]string
	add := func(what, value, note string) { rows = append(rows, []string{what, value, note}) }
	connections := "each node has its own"
	if f.Connections == string(fleetsim.Shared) {
		connections = fmt.Sprintf("shared, through %d hubs", f.Hubs)
	}
	add("nodes", fmt.Sprint(f.Nodes), fmt.Sprintf("every %s, for %s; connections: %s", f.Interval, f.Took.Round(time.Second), connections))
	add("check-ins", fmt.Sprint(f.CheckIns), fmt.Sprintf("%.1f/s%s, %d with other packages, %d of runs that failed", f.Rate, wanted(f), f.Changes, f.Failures))
	add("latency", latency(f.Latency), "of a check-in")
	add("latency, first", latency(f.Introduced), "while connections and traits were new")
	add("latency, uploads", latency(f.Upload), fmt.Sprintf("%d of traits and runs", f.Uploads))
	add("delay here", latency(f.Delay), "from when a check-in was due to its sending: this machine, not the service")
	add("sent away", fmt.Sprint(f.Pressure), "as busy (503) or too many (429)")
	add("not answered", fmt.Sprint(f.Unanswered), f.Why)
	add("skipped", fmt.Sprint(f.Skipped), "turns that came while the one before was not over")
	for _, code := range slices.Sorted(maps.Keys(f.Refused)) {
		add("refused: "+code, fmt.Sprint(f.Refused[code]), "")
	}
	add("sent", size(f.Sent), fmt.Sprintf("received %s; %s per check-in", size(f.Received), size((f.Sent+f.Received)/int64(max(f.CheckIns, 1)))))
	if s := f.Service; s != nil {
		add("CPU of the service", fmt.Sprintf("%.2f cores", s.Cores), fmt.Sprintf("%.0f µs per check-in, of all it did; it counts %d", s.CPU, s.CheckIns))
		add("memory of the service", size(s.Memory), "resident, in the end")
		add("store", size(s.Store), fmt.Sprintf("%s per node; a group takes %.1f ms", size(s.PerNode), s.CommitTime))
	} else {
		add("service", "-", "its metrics cannot be read")
	}
	add("Ed25519 verification", fmt.Sprintf("%.1f µs", f.Verify), "one, on this machine")
	if s := f.Stale; s != nil {
		add("stale", fmt.Sprintf("%d of %d", s.Found, s.Silent), fmt.Sprintf("found %s after three intervals; %d others were called stale", latency(s.After), s.Wrong))
	}
	p := f.Presences
	add("in the end", fmt.Sprintf("%d live", p.Live), fmt.Sprintf("%d late, %d stale, %d never heard of", p.Late, p.Stale, p.Never))
	if err := env.Columns([]string{"WHAT", "VALUE", "NOTE"}, rows); err != nil {
		return err
	}
	if lost := f.Lost(); lost > 0 {
		return fault.WithHint(fmt.Errorf("%d turns of nodes had no good end", lost), "the rows above say how; the service says why in its log")
	}
	return nil
}

func latency(l fleetsim.Latency) string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, max %.1f ms", l.P50, l.P99, l.Max)
}

// wanted says that the rate was not reached, and what it should have been.
func wanted(f fleetsim.Figures) string {
	want := float64(f.Nodes) / f.Interval.Seconds()
	if f.Rate >= .95*want || f.Stale != nil { // the silent ones are missing
		return ""
	}
	return fmt.Sprintf(" instead of %.1f/s: see the delay", want)
}
