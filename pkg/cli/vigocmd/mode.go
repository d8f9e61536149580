package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/span"
)

func newModeCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "mode",
		Short: "See and flip the modes of a fleet, such as disaster recovery and containment",
		Long: `See and flip the modes of a fleet, such as disaster recovery and containment. A mode is a switch that conditions of the policy
see as mode.NAME. fleet.yaml declares it, and a commit flips it. Where the root document lists people as modes/CHANNEL, enough
of them flip it by an order, over what policy says, until they clear it. Both reach every node with the next pointer, at once
and not in stages.`,
		Example: `  vigo mode status
  vigo mode set disaster_recovery --channel production --note 'ams1 burns' --trust-root root.json --key ada.key
  vigo mode clear disaster_recovery --channel production --trust-root root.json --key ada.key`,
	}
	c.AddCommand(newModeStatusCommand(env), newModeSetCommand(env), newModeClearCommand(env))
	return c
}

func newModeStatusCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var format cli.Format
	var watch bool
	c := &cobra.Command{
		Use:   "status [CHANNEL]",
		Short: "Show the modes of channels, why they are so, and which nodes are not there yet",
		Long: `Show the modes of channels, why they are so, and which nodes are not there yet. A node is unready for a mode when it could not
be flipped on it now: a module that it takes cannot be fetched or does not compile there.

EXIT STATUS
  0  every node that is heard of is there, and ready    1  some are not    2  the service cannot be reached`,
		Example: "  vigo mode status production --watch",
		Args:    cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			return repeat(c.Context(), env, watch, func(ctx context.Context) error {
				list, err := client.Modes(ctx, strings.Join(args, ""))
				if err != nil {
					return unreachable(err)
				}
				if done, err := env.Document(format, list); done || err != nil {
					return err
				}
				if err := showModes(env, list); err != nil {
					return err
				}
				if slices.ContainsFunc(list, func(m report.ModeStatus) bool { return len(m.Lagging)+len(m.Unready) > 0 }) {
					return cli.Quiet(fault.Failure)
				}
				return nil
			})
		},
	}
	conn.flags(c)
	c.Flags().BoolVarP(&watch, "watch", "w", false, "show it again every two seconds, until interrupted")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func showModes(env *cli.Env, list []report.ModeStatus) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(env.Stdout, "no modes: fleet.yaml declares none, or nothing is published yet")
		return err
	}
	rows := make([][]string, 0, len(list))
	for _, m := range list {
		why := "policy"
		if !m.Ordered.IsZero() {
			why = fmt.Sprintf("ordered %s by %s (policy: %s)", span.Ago(env.Now(), m.Ordered), shorts(m.Keys, "nobody"), onOff(m.Policy))
			if m.Note != "" {
				why += fmt.Sprintf(" %q", m.Note)
			}
		}
		rows = append(rows, []string{m.Channel, m.Name, onOff(m.On), fmt.Sprintf("%s/%s", grouped(m.There), grouped(m.Nodes)), why})
	}
	if err := env.Columns([]string{"CHANNEL", "MODE", "STATE", "NODES there/all", "WHY"}, rows); err != nil {
		return err
	}
	for _, m := range list {
		for _, part := range []struct {
			n    int
			text string
		}{
			{len(m.Lagging), "not there yet: " + some(m.Lagging)}, {m.Silent, fmt.Sprintf("%s not heard of, to follow when back: %s", grouped(m.Silent), some(m.Gone))},
			{m.Unread, fmt.Sprintf("the service has not looked at %s yet since its start", grouped(m.Unread))},
			{len(m.Unready), "not ready for a flip: " + some(m.Unready)},
		} {
			if part.n > 0 {
				fmt.Fprintf(env.Stdout, "%s %s: %s\n", m.Channel, m.Name, part.text)
			}
		}
	}
	return nil
}

// some names a few of many.
func some(names []string) string {
	const most = 8
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

func onOff(on bool) string {
	if on {
		return "ON"
	}
	return "off"
}

type modeOptions struct {
	promotionFlags
	channel, note string
	off           bool
}

func (o *modeOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.channel, "channel", "", "channel whose mode it is")
	c.Flags().StringVar(&o.note, "note", "", "why, for those who read it at three in the morning")
	o.add(c)
	cobra.CheckErr(c.MarkFlagRequired("channel"))
}

const modeExit = `

EXIT STATUS
  0  enough have signed: the controller publishes it    4  more must sign: they run the same command with their keys
  5  what is there is refused                           1  it failed`

func newModeSetCommand(env *cli.Env) *cobra.Command {
	var o modeOptions
	c := &cobra.Command{
		Use:   "set MODE --channel CHANNEL --trust-root ROOT --key KEY [--off]",
		Short: "Order that a mode is on, or with --off that it is off, whatever policy says",
		Long: `Order that a mode is on, or with --off that it is off, whatever policy says, until it is cleared. As many of the people whom
the root document lists as modes/CHANNEL as it asks for sign the same order: each runs the same command. Nodes check the
signatures themselves: who holds the key of the controller alone flips nothing, and brings no earlier order back.` + modeExit,
		Example: `  vigo mode set containment --channel production --note 'INC-12' --trust-root root.json --key ada.key
  vigo mode set containment --off --channel production --trust-root root.json --key ada.key`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return runMode(c.Context(), env, o, "ordering mode "+args[0], func(modes map[string]bool) { modes[args[0]] = !o.off }, args[0])
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&o.off, "off", false, "it is to be off")
	return c
}

func newModeClearCommand(env *cli.Env) *cobra.Command {
	var o modeOptions
	var all bool
	c := &cobra.Command{
		Use:   "clear [MODE] --channel CHANNEL --trust-root ROOT --key KEY [--all]",
		Short: "Give a mode, or all of them, back to policy",
		Long:  "Give a mode, or with --all all of them, back to policy, by an order that is signed as by vigo mode set." + modeExit,
		Example: `  vigo mode clear containment --channel production --note 'INC-12 is over' --trust-root root.json --key ada.key
  vigo mode clear --all --channel production --trust-root root.json --key ada.key`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return cli.UsageError(errors.New("name one mode, or --all"))
			}
			doing := "giving modes back to policy"
			return runMode(c.Context(), env, o, doing, func(modes map[string]bool) {
				if all {
					clear(modes)
				}
				for _, name := range args {
					delete(modes, name)
				}
			})
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&all, "all", false, "all modes")
	return c
}
