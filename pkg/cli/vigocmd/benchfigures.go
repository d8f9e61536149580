package vigocmd

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/fleetsim"
	"vigo.dev/pkg/rollout"
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
		add("CPU of the service", fmt.Sprintf("%.2f cores", s.Cores), fmt.Sprintf("%.0f µs per check-in, of all it did; it counts %d%s", s.CPU, s.CheckIns, since(s)))
		add("memory of the service", size(s.Memory), "resident, in the end")
		add("store", size(s.Store), fmt.Sprintf("%s per node; a group takes %.1f ms", size(s.PerNode), s.CommitTime))
	} else {
		add("service", "-", "its metrics cannot be read")
	}
	add("Ed25519 verification", fmt.Sprintf("%.1f µs", f.Verify), "one, on this machine")
	addSilence(add, f)
	for _, o := range f.Outages {
		add("outage", outage(o), fmt.Sprintf("from %s on; %d turns were lost", o.From.Format(time.TimeOnly), o.Lost))
	}
	add("runs", fmt.Sprintf("%d lost", f.Runs.Lost), fmt.Sprintf("of %d that were acknowledged and asked for in the end; %d were acknowledged", f.Runs.Checked, f.Runs.Acknowledged))
	addRollout(add, f.Rollout)
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

// addRollout says what came of a rollout.
func addRollout(add func(what, value, note string), r fleetsim.Rollout) {
	note := "were read and verified"
	if r.Unread > 0 {
		note += fmt.Sprintf("; %d looks at the registry were without an answer", r.Unread)
	}
	add("pointers", fmt.Sprint(r.Pointers), note)
	st := r.Status
	if st == nil {
		return
	}
	add("rollout", string(st.Phase), fmt.Sprintf("%s after %s: %d nodes have its bundle, %d died of it, %d were off", st.Reason, st.Since.Sub(st.Began).Round(time.Second),
		r.Has[st.Candidate], r.Dead, r.Off))
	for _, e := range slices.Backward(st.Log) {
		add("after "+clockOf(e.At.Sub(st.Began)), fmt.Sprintf("%s (%s)", e.To, e.Reason), strings.Trim(e.Stage+": "+e.Detail, ": "))
	}
	for _, stage := range st.Stages {
		note := stage.State
		if !stage.Ended.IsZero() && !stage.Began.IsZero() {
			note += " in " + stage.Ended.Sub(stage.Began).Round(time.Second).String()
		}
		add("stage "+stage.Name, fmt.Sprintf("%d nodes", stage.Members), note)
	}
	for _, word := range rollout.Words() {
		if n := st.Counts[word]; n > 0 {
			add("nodes: "+string(word), fmt.Sprint(n), "")
		}
	}
}

// addSilence says what the service made of those that went silent, and of the others.
func addSilence(add func(what, value, note string), f fleetsim.Figures) {
	if s := f.Stale; s != nil {
		add("silent nodes", fmt.Sprintf("%d of %d", s.Found, s.Silent), fmt.Sprintf("called stale %s after three intervals", latency(s.After)))
	}
	if d := f.Dark; d != nil {
		add("dark hub", fmt.Sprintf("told %d times", d.Events), fmt.Sprintf("%.1f ms after three intervals; of %d nodes behind it %d count as silent, %d were told of", d.After, d.Nodes, d.Silent, d.Told))
	}
	note := "nodes and hubs that went on, and were called silent"
	if f.Starved > 0 {
		note += fmt.Sprintf("; without %d nodes that this machine let wait for their turn", f.Starved)
	}
	add("wrongly silent", fmt.Sprint(f.Wrong), note)
}

// since says of a service that was started meanwhile what its figures are of.
func since(s *fleetsim.Service) string {
	if s.Anew {
		return " since it was started anew"
	}
	return ""
}

func outage(o fleetsim.Outage) string {
	if o.Normal.IsZero() {
		return "to the end"
	}
	return o.Normal.Sub(o.From).String()
}

func latency(l fleetsim.Latency) string {
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, max %.1f ms", l.P50, l.P99, l.Max)
}

// wanted says that the rate was not reached, and what it should have been.
func wanted(f fleetsim.Figures) string {
	want := float64(f.Nodes) / f.Interval.Seconds()
	if f.Rate >= .95*want || f.Stale != nil || f.Dark != nil { // the silent ones are missing
		return ""
	}
	return fmt.Sprintf(" instead of %.1f/s: see the delay", want)
}
