package vigocmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

func newAlertCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "alert",
		Short: "See what people are told of, mute it, and test who is told",
		Args:  cli.Args(0, 0),
	}
	c.AddCommand(newAlertListCommand(env), newAlertTestCommand(env), newAlertMuteCommand(env), newAlertUnmuteCommand(env), newAlertDeadCommand(env))
	return c
}

func newAlertListCommand(env *cli.Env) *cobra.Command {
	var format cli.Format
	var conn connection
	var rules, mutes, receivers bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the alerts that are not over; or the rules, mutes or receivers",
		Example: `  vigo alert list
  vigo alert list --receivers
  vigo alert list -o json`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			list, err := client.Alerts(c.Context())
			if err != nil {
				return unreachable(err)
			}
			if done, err := env.Document(format, list); done {
				return err
			}
			for _, problem := range list.Problems {
				fmt.Fprintln(env.Stderr, "vigo: note: "+problem)
			}
			switch {
			case rules:
				return showAlertRules(env, list)
			case mutes:
				return showMutes(env, list)
			case receivers:
				return showReceivers(env, list)
			}
			return showAlerts(env, list)
		},
	}
	conn.flags(c)
	f := c.Flags()
	f.BoolVar(&rules, "rules", false, "show the rules that are in force")
	f.BoolVar(&mutes, "mutes", false, "show what is muted")
	f.BoolVar(&receivers, "receivers", false, "show who is told, and what waits for them")
	c.MarkFlagsMutuallyExclusive("rules", "mutes", "receivers")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func showAlerts(env *cli.Env, list report.Alerts) error {
	rows := make([][]string, 0, len(list.Alerts))
	for _, a := range list.Alerts {
		told := span.Ago(env.Now(), a.Told)
		switch {
		case a.Muted != "":
			told = "muted by " + a.Muted
		case a.Inhibited != "":
			told = "explained by " + a.Inhibited
		}
		text := ""
		if len(a.Findings) > 0 {
			text = a.Findings[0].Text
			if a.Findings[0].Subject != a.Group {
				text = a.Findings[0].Subject + ": " + text
			}
		}
		if more := a.Count - 1; more > 0 {
			text += fmt.Sprintf(" (%d more)", more)
		}
		rows = append(rows, []string{a.State, a.Severity, a.Rule, a.Group, span.Ago(env.Now(), a.Since), orDash(told), text})
	}
	return env.Columns([]string{"STATE", "SEVERITY", "RULE", "OF", "SINCE", "TOLD", "WHAT"}, rows)
}

func showAlertRules(env *cli.Env, list report.Alerts) error {
	if list.BuiltIn {
		fmt.Fprintln(env.Stderr, "vigo: note: the policy repository has no rules in alerts/; these are the usual ones")
	}
	rows := make([][]string, 0, len(list.Rules))
	for _, r := range list.Rules {
		rows = append(rows, []string{r.Name, r.Severity, orDash(r.Event), orDash(r.Where), r.For.String(), r.Leave.String(), orDash(strings.Join(r.GroupBy, ",")), orDash(strings.Join(r.Notify, ","))})
	}
	return env.Columns([]string{"RULE", "SEVERITY", "EVENT", "WHERE", "FOR", "LEAVE", "GROUPED BY", "TELLS"}, rows)
}

func showMutes(env *cli.Env, list report.Alerts) error {
	rows := make([][]string, 0, len(list.Mutes))
	for _, m := range list.Mutes {
		rows = append(rows, []string{m.ID, orDash(m.Rule), orDash(m.Group), m.Until.UTC().Format("2006-01-02 15:04 UTC"), m.By, m.Reason})
	}
	return env.Columns([]string{"ID", "RULE", "OF", "UNTIL", "BY", "REASON"}, rows)
}

func showReceivers(env *cli.Env, list report.Alerts) error {
	rows := make([][]string, 0, len(list.Receivers))
	for _, r := range list.Receivers {
		rows = append(rows, []string{r.Name, r.Kind, fmt.Sprint(r.Waiting), fmt.Sprint(r.Dead), span.Ago(env.Now(), r.Since), orDash(r.Error)})
	}
	if err := env.Columns([]string{"RECEIVER", "KIND", "WAITING", "DEAD", "OLDEST", "ERROR"}, rows); err != nil {
		return err
	}
	if list.Key == "" {
		return nil
	}
	_, err := fmt.Fprintf(env.Stdout, "\nwebhooks are signed with %s\n", list.Key)
	return err
}
