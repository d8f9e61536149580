package vigocmd

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/fleetsim"
	"vigo.dev/pkg/identity"
)

func newBenchCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{Use: "bench", Short: "Measure what a service bears"}
	c.AddCommand(newBenchFleetCommand(env))
	return c
}

// maxSilent is how many nodes may go silent: the events of all must be among those that a service tells.
const maxSilent = 9000

// benchFlags are what a simulated fleet is to be.
type benchFlags struct {
	conn              connection
	format            cli.Format
	conf              fleetsim.Config
	changes, failures share
	fates             fateFlags
	labels            labelShares
	cuts              outageFlag
	retire            bool
}

func newBenchFleetCommand(env *cli.Env) *cobra.Command {
	b := &benchFlags{changes: .01, failures: .001, conf: fleetsim.Config{Shared: fleetsim.Auto}}
	c := &cobra.Command{
		Use:   "fleet",
		Short: "Simulate a fleet for a report service, and measure how it bears it",
		Long: `Simulate a fleet for a report service, and measure how it bears it. Nodes enrol, sign, check in, change packages and fail as
agents do, and converge nothing. Measure a service of its own: simulated nodes are nodes like others to it.

The first run makes tokens (the operator must be allowed to), enrols hubs, and through them the nodes, named PREFIX-000000 and
on; the service lets 60,000 requests of a hub pass in a minute. Keys and certificates stay in the folder of --state, so the
next run enrols only what is missing. Retire the nodes with --retire when you are done.

Every node has a connection of its own as far as this process may have as many open files (ulimit -n); beyond that, nodes
share the connections of hubs, and sign as before.

Nodes follow the pointer of their channel as agents do: one look a second at the registry is for all of them, and verified. They
take part in rollouts. What becomes of a node with a new bundle is drawn from --seed and its name, as by vigo rollout simulate:
the same seed, names, labels and rates give the same nodes the same fates there. A fleet begins with what is stable.

Stop the service meanwhile, kill it, or take its database away: the figures say for how long nodes had no answers, whether what
was acknowledged is there, and whether nodes that went on were called silent.`,
		Example: `  vigo bench fleet --nodes 1000 --duration 1m
  vigo bench fleet --nodes 100000 --interval 30s --duration 5m --changes 1% --silent 2000 --dark-hub 400 -o json
  vigo bench fleet --nodes 10000 --label stage=trial:5% --offline 3% --fail 0.5% --seed 7 --changes 0 --failures 0 --rollout --duration 2h
  vigo bench fleet --retire`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return b.run(c, env) },
	}
	b.conn.flags(c)
	f := c.Flags()
	f.IntVar(&b.conf.Nodes, "nodes", 1000, "how many nodes to simulate")
	f.DurationVar(&b.conf.Interval, "interval", 0, "how often each checks in (default: as often as the service tells it)")
	f.DurationVar(&b.conf.Duration, "duration", time.Minute, "how long to measure, after all have been introduced")
	f.Var(&b.changes, "changes", "share of the nodes whose packages change in an interval")
	f.Var(&b.failures, "failures", "share of the runs that fail")
	b.fates.flags(f)
	f.Uint64Var(&b.conf.Fates.Seed, "seed", 1, "another number gives nodes other fates")
	f.Var(&b.labels, "label", "a label, and the share of the nodes that get it when they enrol: NAME=VALUE:SHARE; can be repeated")
	f.Var(&b.cuts, "network-outage", "cut a share of the nodes off for a time, counted from when a rollout begins: WHEN+LENGTH:SHARE; can be repeated")
	f.BoolVar(&b.conf.Rollout, "rollout", false, "end as soon as a rollout that begins meanwhile is over or stands still; --duration is then the longest")
	f.IntVar(&b.conf.Silent, "silent", 0, "nodes that go silent at half time, to see how soon they are called stale")
	f.IntVar(&b.conf.Dark, "dark-hub", 0, "nodes behind a hub of their own that goes dark with them at half time, to see that it is told once")
	f.IntVar(&b.conf.Hubs, "hubs", 0, "identities of hubs (default: as many as the rate needs)")
	cli.ChoiceFlag(c, &b.conf.Shared, "connections", "", "whether nodes share connections", fleetsim.Auto, fleetsim.Own, fleetsim.Shared)
	f.StringVar(&b.conf.Prefix, "prefix", "bench", "what the names of the nodes begin with")
	f.StringVar(&b.conf.Channel, "channel", "", "channel of the nodes (default: that of the service)")
	f.StringVar(&b.conf.Dir, "state", "", "folder of keys and certificates (default ~/.local/state/vigo/bench)")
	f.BoolVar(&b.conf.Others, "among-others", false, "simulate although the service has other nodes")
	f.BoolVar(&b.retire, "retire", false, "retire the simulated nodes, and forget them")
	cobra.CheckErr(c.MarkFlagDirname("state"))
	cobra.CheckErr(c.RegisterFlagCompletionFunc("label", cobra.NoFileCompletions))
	cli.FormatFlag(c, &b.format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func (b *benchFlags) run(c *cobra.Command, env *cli.Env) (err error) {
	conf := &b.conf
	if err := b.check(env); err != nil {
		return cli.UsageError(err)
	}
	if conf.People, err = b.conn.open(env); err != nil {
		return err
	}
	if conf.URL, err = b.conn.address(env); err != nil {
		return err
	}
	line := progressLine{env: env}
	conf.Changes, conf.Failures, conf.Version, conf.Now = float64(b.changes), float64(b.failures), env.Version, env.Now
	conf.Fates.Rates, conf.Fates.Labels, conf.Fates.Cuts = b.fates.rates(), b.labels.list, b.cuts.list
	conf.Say = line.say
	if env.Live {
		conf.Progress = line.show
	}
	if b.retire {
		n, err := fleetsim.Retire(c.Context(), *conf)
		line.end()
		if err != nil {
			return unreachable(err)
		}
		_, err = fmt.Fprintf(env.Stdout, "%d nodes and hubs are retired\n", n)
		return err
	}
	figures, err := fleetsim.Run(c.Context(), *conf)
	line.end()
	if err != nil {
		return unreachable(err)
	}
	if done, err := env.Document(b.format, figures); done {
		return err
	}
	return showFigures(env, figures)
}

func (b *benchFlags) check(env *cli.Env) error {
	conf := &b.conf
	var errs []error
	if conf.Nodes < 1 || conf.Nodes > 1_000_000 {
		errs = append(errs, errors.New("--nodes is from 1 to 1000000"))
	}
	if conf.Interval != 0 && conf.Interval < time.Second {
		errs = append(errs, fault.WithHint(errors.New("--interval is at least 1s"), "a service lets a node check in 240 times in a minute"))
	}
	if conf.Duration < time.Second {
		errs = append(errs, errors.New("--duration is at least 1s"))
	}
	if conf.Silent < 0 || conf.Dark < 0 || conf.Silent+conf.Dark > min(conf.Nodes, maxSilent) {
		errs = append(errs, fault.WithHint(fmt.Errorf("--silent and --dark-hub are together at most --nodes, and %d", maxSilent), "a service tells its last 10,000 events"))
	}
	if conf.Rollout && conf.Silent+conf.Dark > 0 {
		errs = append(errs, fault.WithHint(errors.New("--rollout does not go with --silent and --dark-hub"), "they are for half time, and nobody knows when a rollout is over"))
	}
	if conf.Hubs < 0 || conf.Hubs > 99 {
		errs = append(errs, errors.New("--hubs is at most 99"))
	}
	if err := identity.CheckName(conf.Prefix + "-000000"); err != nil || strings.ContainsAny(conf.Prefix, "/*?[\\") {
		errs = append(errs, errors.Join(fmt.Errorf("--prefix %q cannot begin the name of a node", conf.Prefix), err))
	}
	if conf.Dir == "" {
		dir := cmp.Or(env.Getenv("XDG_STATE_HOME"), filepath.Join(env.Getenv("HOME"), ".local", "state"))
		conf.Dir = filepath.Join(dir, "vigo", "bench")
	}
	return errors.Join(errs...)
}

// share is a flag such as 1% or 0.01.
type share float64

func (s *share) String() string { return strconv.FormatFloat(float64(*s)*100, 'f', -1, 64) + "%" }

// Type implements pflag.Value.
func (s *share) Type() string { return "share" }

// Set implements pflag.Value.
func (s *share) Set(text string) error {
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if percent {
		n /= 100
	}
	if err != nil || !(n >= 0 && n <= 1) {
		return errors.New("it is a share such as 1% or 0.01")
	}
	*s = share(n)
	return nil
}

// progressLine is the last line of a terminal.
type progressLine struct {
	env   *cli.Env
	shown bool
}

func (l *progressLine) show(p fleetsim.Progress) {
	l.shown = true
	fmt.Fprintf(l.env.Stderr, "\r\x1b[K%s: %s %s%s  %d/s  p99 %s  failed %d%s", l.env.Name, p.Phase, p.Elapsed.Round(time.Second), of(p.Of), p.Done,
		p.P99.Round(100*time.Microsecond), p.Failed, behind(p.Behind))
}

func of(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return " of " + d.Round(time.Second).String()
}

func behind(d time.Duration) string {
	if d < 100*time.Millisecond {
		return ""
	}
	return fmt.Sprintf("  (this machine is %s behind)", d.Round(10*time.Millisecond))
}

func (l *progressLine) say(text string) {
	l.end()
	l.env.Say("%s: %s", l.env.Name, text)
}

func (l *progressLine) end() {
	if l.shown {
		fmt.Fprint(l.env.Stderr, "\r\x1b[K")
		l.shown = false
	}
}
