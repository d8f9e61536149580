package vigocmd

import (
	"context"
	"fmt"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

// changedSince shows which values of the nodes of a question are others than they were.
func changedSince(ctx context.Context, env *cli.Env, client *api.OperatorClient, format cli.Format, q report.Question, since time.Duration, trait string) error {
	asked := report.ChangeQuestion{Query: q.Query, Where: q.Where, Since: env.Now().Add(-since), Trait: trait, Limit: q.Limit}
	answer, err := cli.Wait(env, asking, func() (report.TraitChanges, error) { return client.TraitChanges(ctx, asked) })
	if err != nil {
		return unreachable(err)
	}
	if done, err := env.Document(format, answer); done {
		return err
	}
	sayDropped(env, answer.Dropped)
	if answer.Unread {
		env.Say("vigo: note: there were too many changes to look through them all: the oldest are not told")
	}
	if answer.Left > 0 {
		env.Say("vigo: note: %d values or more are not shown: --limit, --trait or a condition", answer.Left)
	}
	if answer.Waiting > 0 {
		env.Say("vigo: note: the service has not looked into %d changes yet", answer.Waiting)
	}
	return showMoves(env, format, answer.Moves)
}

func showMoves(env *cli.Env, format cli.Format, moves []report.Move) error {
	rows, last := make([][]string, 0, len(moves)), ""
	for _, m := range moves {
		switch format {
		case cli.Name:
			if m.Node != last {
				fmt.Fprintln(env.Stdout, m.Node)
				last = m.Node
			}
		case csvFormat:
			rows = append(rows, []string{m.Node, m.Trait, m.Field, m.From, m.To, m.At.UTC().Format(time.RFC3339), fmt.Sprint(max(m.Times, 1)), fmt.Sprint(m.More)})
		default:
			rows = append(rows, []string{m.Node, m.Trait, orDash(m.Field), orDash(m.From), orDash(m.To), span.Ago(env.Now(), m.At)})
		}
	}
	switch format {
	case cli.Name:
		return nil
	case csvFormat:
		return writeCSV(env, []string{"node", "trait", "field", "from", "to", "changed", "times", "more"}, rows)
	}
	return env.Columns([]string{"NODE", "TRAIT", "FIELD", "FROM", "TO", "CHANGED"}, rows)
}
