package vigocmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
)

// eventsPace is how often a service is asked for what happened since.
const eventsPace = time.Second

// eventQuery is which events are shown.
type eventQuery struct {
	node, kind string // globs
	since      time.Duration
	limit      int
	follow     bool
}

func newEventsCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var conn connection
	q := eventQuery{}
	c := &cobra.Command{
		Use:   "events",
		Short: "Show what happened in the fleet",
		Long: `Show what happened in the fleet, oldest first: nodes that enrolled, fell silent and came back, what they refused to
accept, and what was published. With --follow it goes on until interrupted; -o json then writes one event a line, for
whatever is to be woken by it.`,
		Example: `  vigo events
  vigo events --kind 'node.refused' --since 24h
  vigo events --follow -o json | while read -r event; do notify "$event"; done`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			for _, glob := range []string{q.node, q.kind} {
				if _, err := path.Match(glob, ""); err != nil {
					return cli.UsageError(fmt.Errorf("%q is not a glob pattern", glob))
				}
			}
			if q.follow && format == cli.YAML {
				return cli.UsageError(errors.New("--follow writes one event a line: -o json, or no -o"))
			}
			return runEvents(c.Context(), env, client, format, q)
		},
	}
	conn.flags(c)
	f := c.Flags()
	f.StringVar(&q.node, "node", "", "only of nodes whose name fits this glob")
	f.StringVar(&q.kind, "kind", "", "only of kinds that fit this glob, such as 'node.*'")
	ageVar(f, &q.since, "since", 0, "only what happened within this time, such as 24h or 7d")
	f.IntVar(&q.limit, "limit", 100, "at most this many, the newest")
	f.BoolVarP(&q.follow, "follow", "f", false, "go on with what happens, until interrupted")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func runEvents(ctx context.Context, env *cli.Env, client *api.OperatorClient, format cli.Format, q eventQuery) error {
	ask := func() ([]report.Event, error) { return client.Events(ctx, maxEventsAsked) }
	all, err := cli.Wait(env, asking, ask)
	if err != nil {
		return unreachable(err)
	}
	shown := q.of(all, 0, env.Now())
	if !q.follow {
		return showEvents(env, format, shown)
	}
	for last := int64(0); ; {
		for _, e := range shown {
			if err := showEvent(env, format, e); err != nil {
				return err
			}
		}
		if len(all) > 0 {
			last = max(last, all[0].Seq)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(eventsPace):
		}
		if all, err = ask(); err != nil && ctx.Err() == nil {
			env.PrintError(unreachable(err)) // it may come back, and nothing of it is lost
		}
		shown = q.of(all, last, env.Now())
	}
}

// maxEventsAsked is how many events are looked through.
const maxEventsAsked = 10000

// of returns the events behind seq that are asked for, oldest first.
func (q eventQuery) of(newestFirst []report.Event, seq int64, now time.Time) []report.Event {
	fits := func(glob, s string) bool {
		ok, err := path.Match(glob, s)
		return glob == "" || err == nil && ok
	}
	list := []report.Event{}
	for _, e := range newestFirst {
		if e.Seq <= seq || q.since > 0 && now.Sub(e.At) > q.since || len(list) >= q.limit && seq == 0 {
			break
		}
		if fits(q.node, e.Node) && fits(q.kind, e.Kind) {
			list = append(list, e)
		}
	}
	slices.Reverse(list)
	return list
}

func showEvents(env *cli.Env, format cli.Format, list []report.Event) error {
	if done, err := env.Document(format, list); done {
		return err
	}
	rows := make([][]string, len(list))
	for i, e := range list {
		rows[i] = []string{e.At.Local().Format(time.DateTime), e.Kind, e.Node, e.Text}
	}
	return env.Columns([]string{"TIME", "EVENT", "NODE", "WHAT"}, rows)
}

// showEvent writes one line.
func showEvent(env *cli.Env, format cli.Format, e report.Event) error {
	if format == cli.Table {
		_, err := fmt.Fprintf(env.Stdout, "%s  %-18s  %-20s  %s\n", e.At.Local().Format(time.DateTime), e.Kind, e.Node, e.Text)
		return err
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "%s\n", line)
	return err
}
