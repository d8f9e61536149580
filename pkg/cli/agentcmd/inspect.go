package agentcmd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/traits"
)

var errDryRunAlone = errors.New("--dry-run needs --once")

func newStatusCommand(g *globals) *cobra.Command {
	var format cli.Format
	c := &cobra.Command{
		Use: "status", Short: "Show what this agent enforces and what it owes",
		Example: "  vigo-agent status\n  vigo-agent status -o json",
		Args:    cli.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			st, err := agent.ReadStatus(g.stateDir())
			if err != nil {
				return err
			}
			if done, err := g.env.Document(format, st); done {
				return err
			}
			var guarded []string
			for _, s := range st.Guarded {
				guarded = append(guarded, s.Resource+": "+s.Reason)
			}
			return g.env.Columns([]string{"FIELD", "VALUE"}, [][]string{
				{"node", st.Node}, {"fleet", st.Fleet}, {"channel", st.Channel}, {"server", st.Server}, {"enrolled", enrolledText(st)},
				{"registry", strings.Join(slices.Concat(st.Mirrors, st.Registry), ", ")}, {"root", fmt.Sprint(st.Root)}, {"pointer", st.Pointer}, {"bundle", st.Bundle}, {"commit", st.Commit}, {"why", whyText(st.Turn)}, {"pinned", pinText(st.Pinned)},
				{"spooled runs", fmt.Sprint(st.Spooled)}, {"pending refreshes", strings.Join(st.Pending, ", ")},
				{"put aside", strings.Join(st.Aside, ", ")}, {"guarded", strings.Join(guarded, ", ")}, {"modes ordered", orderedText(st)},
			})
		},
	}
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

// enrolledText is when the host has joined its fleet.
func enrolledText(st agent.Status) string {
	if st.Enrolled.IsZero() {
		return ""
	}
	return st.Enrolled.UTC().Format(time.RFC3339)
}

// whyText says why a node runs what it runs, and how far the rollout is that its channel has.
func whyText(t *agent.Turn) string {
	switch {
	case t == nil:
		return "it runs nothing yet"
	case t.Rollout == "":
		return t.Text
	}
	return fmt.Sprintf("%s (rollout %s, at place %.1f %% of its order)", t.Text, t.Rollout, t.Place)
}

// orderedText is which modes people have set, and when.
func orderedText(st agent.Status) string {
	if len(st.Ordered) == 0 {
		return ""
	}
	parts := []string{}
	for _, name := range slices.Sorted(maps.Keys(st.Ordered)) {
		state := "off"
		if st.Ordered[name] {
			state = "ON"
		}
		parts = append(parts, name+" "+state)
	}
	return strings.Join(parts, ", ") + ", at " + st.OrderedAt.UTC().Format(time.RFC3339)
}

func newTraitsCommand(g *globals) *cobra.Command {
	var format cli.Format
	c := &cobra.Command{
		Use: "traits [NAME...]", Short: "Collect and show the traits of this host",
		Example: "  vigo-agent traits os kernel\n  vigo-agent traits -o yaml",
		Args:    cli.Args(0, 100),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, kind := range traits.Kinds() {
				names = append(names, kind.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			m, err := machine.New(machine.Options{Root: g.root, Log: g.log(), Now: g.env.Now})
			if err != nil {
				return err
			}
			defer m.Close()
			got := traits.NewScheduler(traits.All(), g.env.Now).Gather(c.Context(), m.Host(), traits.Agent{Version: g.env.Version})
			names := args
			if len(names) == 0 {
				for name := range got.Set {
					names = append(names, name)
				}
			}
			sort.Strings(names)
			shown := make(map[string]any, len(names))
			for _, name := range names {
				v, ok := got.Set[name]
				if !ok {
					return traitMissing(name, slices.Collect(maps.Keys(got.Set)), got.Problems)
				}
				shown[name] = v
			}
			for name, problem := range got.Problems {
				if len(args) == 0 || slices.Contains(args, name) {
					g.env.Say("%s: trait %s: %s", g.env.Name, name, problem)
				}
			}
			_, err = g.env.Document(format, shown)
			return err
		},
	}
	cli.FormatFlag(c, &format, cli.YAML, cli.JSON)
	return c
}

func traitMissing(name string, known []string, problems map[string]string) error {
	if problem, ok := problems[name]; ok {
		return fmt.Errorf("collecting trait %s: %s", name, problem)
	}
	slices.Sort(known)
	hint := fault.DidYouMean(name, known)
	if hint == "" {
		hint = "it has " + strings.Join(known, ", ")
	}
	return fault.WithHint(fmt.Errorf("this host has no trait %q", name), hint)
}
