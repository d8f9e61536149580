package vigocmd

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/rollout/sim"
	"vigo.dev/pkg/window"
)

// simFlags are what a simulated rollout is to be.
type simFlags struct {
	conf     sim.Config
	format   cli.Format
	channel  string
	prefix   string // of the names of the nodes
	nodes    int
	interval time.Duration
	start    string
	// candidate is the digest of a real bundle; empty: another for each seed.
	candidate string
	labels    labelShares
	outages   outageFlag
	service   outageFlag
	commands  commandFlag
	rates     fateFlags
	unwell    share
}

func newRolloutSimulateCommand(env *cli.Env) *cobra.Command {
	s := &simFlags{service: outageFlag{service: true}}
	c := &cobra.Command{
		Use:   "simulate [DIR]",
		Short: "Play a rollout over a fleet that is not there, and print what happens when",
		Long: `Play a rollout over a fleet that is not there, and print what happens when. It asks the same functions as the report service
and the agents, with a clock that is counted, and draws chance from a seed: the same command prints the same timeline.

The stages are those of rollouts/CHANNEL.yaml in the policy repository DIR. Nodes have the labels that --label gives to shares
of them. What becomes of a node is chance; what a bundle would change is not looked at.

TIMES are counted from the start, such as 90s, 20m or 1h30m. An outage is written WHEN+LENGTH, or WHEN+LENGTH:SHARE for one of
the network. What operators do is written WHEN:COMMAND: 30m:pause, 1h:resume, 2h:abort, 2h:revert, 40m:approve.

EXIT STATUS
  0  it was played, whatever came of it    1  the policy or the question has mistakes`,
		Example: `  vigo rollout simulate --nodes 10000 --label environment=staging:10% --fail 0.5% --offline 3%
  vigo rollout simulate policy --channel production --lose 4% --seed 7
  vigo rollout simulate --network-outage 10m+15m:40% --service-outage 40m+5m --do 30m:pause --do 35m:resume -o json`,
		Args: cli.Args(0, 1),
		RunE: func(_ *cobra.Command, args []string) error { return s.run(env, directory(args)) },
	}
	f := c.Flags()
	f.StringVar(&s.channel, "channel", "", "the channel (default: the only one with a rollout)")
	f.IntVar(&s.nodes, "nodes", 10_000, "how many nodes the channel has")
	f.Var(&s.labels, "label", "a label, and the share of the nodes that have it: NAME=VALUE:SHARE; can be repeated")
	s.rates.flags(f)
	f.Var(&s.unwell, "unwell", "share of the nodes for which the checks do not hold with it")
	f.Var(&s.outages, "network-outage", "cut a share of the nodes off for a time; can be repeated")
	f.Var(&s.service, "service-outage", "take the report service away for a time; can be repeated")
	f.Var(&s.commands, "do", "what an operator does, and when; can be repeated")
	f.DurationVar(&s.conf.Approve, "approve-after", 0, "how long people take to approve a stage; negative: nobody does")
	f.StringVar(&s.prefix, "prefix", "node", "what the names of the nodes begin with, as in vigo bench fleet: fates follow from seed and name")
	f.StringVar(&s.candidate, "candidate", "", "digest of the bundle that is rolled out: the order in which nodes are drawn follows from it (default: follows from the seed)")
	f.Uint64Var(&s.conf.Seed, "seed", 1, "another number gives nodes other fates and places")
	f.DurationVar(&s.interval, "interval", 0, "how often nodes report (default: what fleet.yaml says)")
	f.DurationVar(&s.conf.Step.Every, "step", 3*time.Second, "how often the report service looks; more is quicker to play, and less exact")
	f.DurationVar(&s.conf.Poll.Every, "poll", 15*time.Second, "how often the controller issues what follows")
	f.DurationVar(&s.conf.For, "for", 24*time.Hour, "how much time to play at most")
	f.StringVar(&s.start, "start", "", "when it begins, such as 2026-03-02T22:00:00Z, for rollouts with a window (default: now)")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("label", cobra.NoFileCompletions))
	cli.FormatFlag(c, &s.format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func (s *simFlags) run(env *cli.Env, dir string) error {
	fleet, spec, open, err := rolloutIn(dir, s.channel)
	if err != nil {
		return err
	}
	c := &s.conf
	c.Spec, c.Open, c.Turn.Every = spec, open.Open, cmp.Or(s.interval, fleet.Interval)
	c.Outages, c.Commands = slices.Concat(s.outages.list, s.service.list), s.commands.list
	c.Rates = s.rates.rates()
	c.Rates.Unwell = float64(s.unwell)
	c.Start = env.Now().UTC().Truncate(time.Second)
	if s.start != "" {
		if c.Start, err = time.Parse(time.RFC3339, s.start); err != nil {
			return cli.UsageError(fault.WithHint(fmt.Errorf("--start %q is no time", s.start), "write it as 2026-03-02T22:00:00Z"))
		}
	}
	if s.nodes < 1 || s.nodes > sim.MostNodes {
		return cli.UsageError(fmt.Errorf("--nodes is from 1 to %d", sim.MostNodes))
	}
	// The order in which nodes are drawn follows from the digest of the candidate; another seed is another candidate.
	c.Stable, c.Candidate = "stable", cmp.Or(s.candidate, fmt.Sprintf("candidate %d", c.Seed))
	if c.Members, err = s.members(spec); err != nil {
		return err
	}
	timeline, err := sim.Run(*c)
	if err != nil {
		return cli.UsageError(err)
	}
	if done, err := env.Document(s.format, timeline); done {
		return err
	}
	return showTimeline(env, timeline)
}

// rolloutIn reads the rollout of a channel from a policy repository, with its window.
func rolloutIn(dir, channel string) (fleet *policy.Fleet, spec rollout.Spec, open window.Window, err error) {
	if _, _, err := compile(dir); err != nil {
		return nil, spec, open, err
	}
	fsys, err := cli.Folder(dir)
	if err != nil {
		return nil, spec, open, err
	}
	if fleet, err = policy.LoadFleet(fsys); err != nil {
		return nil, spec, open, err
	}
	specs, windows, err := policy.LoadRollouts(fsys, fleet)
	if err != nil {
		return nil, spec, open, err
	}
	names := slices.Sorted(maps.Keys(specs))
	if channel == "" && len(names) == 1 {
		channel = names[0]
	}
	spec, ok := specs[channel]
	switch {
	case len(names) == 0:
		return nil, spec, open, fault.WithHint(errors.New("the policy has no rollouts"), "a rollout is a file rollouts/CHANNEL.yaml")
	case channel == "":
		return nil, spec, open, cli.UsageError(fmt.Errorf("which rollout? name a channel with --channel: %s", strings.Join(names, ", ")))
	case !ok:
		return nil, spec, open, fmt.Errorf("there is no rollouts/%s.yaml; there is one for: %s", channel, strings.Join(names, ", "))
	}
	return fleet, spec, windows[channel], nil
}

// members gives the nodes their labels, and says which stages they are of.
func (s *simFlags) members(spec rollout.Spec) ([]sim.Member, error) {
	conds, err := stageConditions(spec)
	if err != nil {
		return nil, err
	}
	members := make([]sim.Member, s.nodes)
	for i := range members {
		name := fmt.Sprintf("%s-%06d", s.prefix, i)
		if members[i], err = memberOf(name, sim.LabelsOf(s.labels.list, s.conf.Seed, name), spec, conds); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// stageConditions compiles the conditions of the stages; nil: it has none.
func stageConditions(spec rollout.Spec) ([]*expr.Cond, error) {
	conds := make([]*expr.Cond, len(spec.Stages))
	for i, st := range spec.Stages {
		if st.When == "" {
			continue
		}
		var err error
		if conds[i], err = expr.CompileLabels(st.When); err != nil {
			return nil, fmt.Errorf("stage %s: %w", st.Name, err)
		}
	}
	return conds, nil
}

// memberOf finds the stages whose conditions the labels of a node meet.
func memberOf(name string, labels map[string]string, spec rollout.Spec, conds []*expr.Cond) (sim.Member, error) {
	m := sim.Member{Name: name}
	for i, cond := range conds {
		ok := true
		if cond != nil {
			var err error
			if ok, err = cond.OfLabels(name, labels); err != nil {
				return m, fmt.Errorf("stage %s, node %s: %w", spec.Stages[i].Name, name, err)
			}
		}
		if ok {
			m.Stages |= 1 << i
		}
	}
	return m, nil
}
