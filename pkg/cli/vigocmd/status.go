package vigocmd

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

func newStatusCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var watch bool
	var conn connection
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how the fleet is: presence, compliance, channels, problems",
		Long: `Show how the fleet is: presence, compliance, channels, problems. With -o name only the names of the nodes and channels
that have problems.

EXIT STATUS
  0  the fleet is well    1  there are problems    2  the service cannot be reached`,
		Example: "  vigo status\n  vigo status --watch\n  vigo status -o json | jq .presences",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			return repeat(c.Context(), env, watch, func(ctx context.Context) error {
				st, err := cli.Wait(env, asking, func() (report.Status, error) { return client.Status(ctx, 1000) })
				if err != nil {
					return unreachable(err)
				}
				done, err := env.Document(format, st)
				switch {
				case err != nil:
					return err
				case format == cli.Name:
					printTroubled(env, st)
				case !done:
					printStatus(env, st, format == cli.Wide)
				}
				if !st.Healthy() {
					return cli.Quiet(fault.Failure)
				}
				return nil
			})
		},
	}
	conn.flags(c)
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again every two seconds, until interrupted")
	cli.FormatFlag(c, &format, cli.Table, cli.Wide, cli.JSON, cli.YAML, cli.Name)
	return c
}

// repeat shows something once, or for ever: a failure in between is shown and does not end the watch.
func repeat(ctx context.Context, env *cli.Env, watch bool, show func(context.Context) error) error {
	if !watch {
		return show(ctx)
	}
	for {
		if env.Colour {
			fmt.Fprint(env.Stdout, "\x1b[H\x1b[2J")
		}
		if err := show(ctx); err != nil {
			env.PrintError(err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(2 * time.Second):
		}
	}
}

func printStatus(env *cli.Env, st report.Status, wide bool) {
	p, n := st.Presences, st.Compliances
	out := env.Stdout
	fmt.Fprintf(out, "%s %s   %d/%d live", env.Paint("bold", "FLEET"), st.Fleet, p.Live, p.Total)
	for _, part := range []struct {
		n    int
		word string
	}{{p.Late, "late"}, {p.Stale, "stale"}, {p.Missing, "missing"}, {p.Never, "never seen"}} {
		if part.n > 0 || wide {
			fmt.Fprintf(out, "  %d %s", part.n, part.word)
		}
	}
	fmt.Fprintf(out, "      %.1f check-ins/s\n", st.Rate)
	fmt.Fprintf(out, "%s   %d ok  %d changed  %d repaired/1h  %d failed  %d drift%s\n",
		env.Paint("bold", "COMPLIANCE"), n.OK, n.Changed, n.Repaired, n.Failed, n.Drift, worst(st.Worst))
	if !st.Amnesty.IsZero() {
		fmt.Fprintf(out, "The service was not listening for a while; nobody is called stale before %s.\n", st.Amnesty.Local().Format(time.TimeOnly))
	}
	if err := printChannels(env, st); err != nil {
		return
	}
	printWaiting(env, st)
	printHubs(env, st)
	printMaintenance(env, st)
	printProblems(env, st, wide)
}

// printChannels shows columns of branches and approvals only where there are some.
func printChannels(env *cli.Env, st report.Status) error {
	if len(st.Channels) == 0 {
		return nil
	}
	heads := []string{"CHANNEL", "COMMIT", "BUNDLE", "POINTER", "ISSUED", "NODES current/behind/ahead"}
	approved := slices.ContainsFunc(st.Channels, func(c report.Channel) bool { return len(c.Approvals) > 0 })
	if approved {
		heads = append(heads, "APPROVED BY")
	}
	several := slices.ContainsFunc(st.Channels, func(c report.Channel) bool { return c.From != "" })
	if several {
		heads = append(heads, "FROM")
	}
	rows := make([][]string, len(st.Channels))
	for i, c := range st.Channels {
		rows[i] = []string{c.Channel, orDash(short(c.Commit)), shortDigest(c.Digest), orDash(c.Pointer), ago(st.Now, c.Issued), fmt.Sprintf("%d/%d/%d", c.Cur, c.Behind, c.Ahead)}
		if approved {
			rows[i] = append(rows[i], orDash(strings.Join(c.Approvals, ", ")))
		}
		if several {
			rows[i] = append(rows[i], orDash(c.From))
		}
	}
	return env.Columns(heads, rows)
}

// printWaiting says what people are asked to approve.
func printWaiting(env *cli.Env, st report.Status) {
	for _, c := range st.Channels {
		w := c.Waiting
		if w == nil {
			continue
		}
		fmt.Fprintf(env.Stdout, "%s   %s  %s of commit %s, asked %s: ", env.Paint("bold", "WAITING"), c.Channel, shortDigest(w.Digest), orDash(short(w.Commit)), ago(st.Now, w.Since))
		if w.Needs == 0 {
			fmt.Fprintln(env.Stdout, w.Reason)
			continue
		}
		fmt.Fprintf(env.Stdout, "%d of %d approved (%s), %d missing\n", len(w.Approved), w.Needs, shorts(w.Approved, "nobody"), w.Missing)
	}
}

// printHubs says in one line how the hubs are.
func printHubs(env *cli.Env, st report.Status) {
	if len(st.Hubs) == 0 {
		return
	}
	well, dark := 0, ""
	for _, h := range st.Hubs {
		switch h.Presence {
		case report.Stale, report.Missing:
			dark += fmt.Sprintf("  %s %s %s (%d nodes)", h.Name, env.Paint("red", "DARK"), span(st.Now.Sub(h.Seen)), h.Nodes)
		case report.Live, report.Late:
			well++
		}
	}
	fmt.Fprintf(env.Stdout, "%s   %d/%d ok%s\n", env.Paint("bold", "HUBS"), well, len(st.Hubs), dark)
}

func printProblems(env *cli.Env, st report.Status, wide bool) {
	if st.ProblemCount == 0 {
		fmt.Fprintln(env.Stdout, env.Paint("green", "no problems"))
		return
	}
	fmt.Fprintln(env.Stdout, env.Paint("red", "PROBLEMS"))
	limit := 14
	if wide {
		limit = len(st.Problems)
	}
	for i, p := range st.Problems {
		if i == limit {
			break
		}
		subject := p.Node
		if subject == "" {
			subject = p.Channel
		}
		more := ""
		if p.Count > 1 {
			more = fmt.Sprintf("   %dx, first %s", p.Count, p.First.Local().Format("15:04:05"))
		}
		text := p.Text
		if !wide {
			text, _, _ = strings.Cut(text, "\n")
		}
		fmt.Fprintf(env.Stdout, "  %-12s %-8s %s%s\n", orDash(subject), p.Kind, strings.ReplaceAll(text, "\n", "\n      "), more)
	}
	if more := st.ProblemCount - min(limit, len(st.Problems)); more > 0 {
		fmt.Fprintf(env.Stdout, "  and %d more; see `vigo status -o wide`\n", more)
	}
}

// printTroubled names each subject of a problem once.
func printTroubled(env *cli.Env, st report.Status) {
	seen := map[string]bool{}
	for _, p := range st.Problems {
		name := p.Node
		if name == "" {
			name = p.Channel
		}
		if name != "" && !seen[name] {
			seen[name] = true
			fmt.Fprintln(env.Stdout, name)
		}
	}
}

func worst(list []report.Worst) string {
	if len(list) == 0 {
		return ""
	}
	parts := make([]string, len(list))
	for i, w := range list {
		parts[i] = fmt.Sprintf("%s %d nodes", w.Module, w.Nodes)
	}
	return "       worst: " + strings.Join(parts, ", ")
}
