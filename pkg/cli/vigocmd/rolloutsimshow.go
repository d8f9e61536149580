package vigocmd

import (
	"fmt"
	"strings"
	"time"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/rollout/sim"
)

// showTimeline is a timeline for people: what happened when, and what came of it.
func showTimeline(env *cli.Env, t sim.Timeline) error {
	var rows [][]string
	for _, e := range t.Entries {
		what := e.What
		if what == "" {
			what = fmt.Sprintf("%s (%s)", e.Phase, e.Reason)
		}
		if e.Detail != "" {
			what += ": " + e.Detail
		}
		if e.By != "" {
			what += ", by " + e.By
		}
		rows = append(rows, []string{clockOf(time.Duration(e.After)), e.Stage, what, countsOf(e.Counts)})
	}
	if err := env.Columns([]string{"AFTER", "STAGE", "WHAT", "NODES"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout)
	for _, st := range t.Stages {
		switch {
		case st.Skipped:
			fmt.Fprintf(env.Stdout, "stage %s: skipped\n", st.Name)
		case st.Began.IsZero():
			fmt.Fprintf(env.Stdout, "stage %s: not begun\n", st.Name)
		case st.Ended.IsZero():
			fmt.Fprintf(env.Stdout, "stage %s: %d nodes, not passed\n", st.Name, st.Members)
		default:
			fmt.Fprintf(env.Stdout, "stage %s: %d nodes, passed in %s\n", st.Name, st.Members, st.Ended.Sub(st.Began))
		}
	}
	_, err := fmt.Fprintf(env.Stdout, "%s (%s) after %s: %d of %d nodes took the new bundle\n", strings.ToUpper(string(t.Phase)), t.Reason, t.After, t.Reached, t.Nodes)
	return err
}

// clockOf renders a time since the start as h:mm:ss.
func clockOf(d time.Duration) string {
	d = d.Round(time.Second)
	return fmt.Sprintf("%d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

// countsOf renders how many nodes there are of each word.
func countsOf(counts map[rollout.Word]int) string {
	var list []string
	for _, word := range rollout.Words() {
		if n := counts[word]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, word))
		}
	}
	return strings.Join(list, ", ")
}
