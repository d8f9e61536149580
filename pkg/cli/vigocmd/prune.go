package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/prune"
	"vigo.dev/pkg/span"
)

// retentionFlags say what is kept of a repository.
type retentionFlags struct {
	keep    int
	keepFor time.Duration
}

func (r *retentionFlags) add(c *cobra.Command) {
	c.Flags().IntVar(&r.keep, "keep", prune.DefaultKeep, "different bundles of each channel to keep for a rollback, the present one among them")
	ageVar(c.Flags(), &r.keepFor, "keep-for", prune.DefaultKeepFor, "keep what channels pointed to in this time")
}

// check refuses what cannot be meant.
func (r *retentionFlags) check() error {
	if r.keep < 1 || r.keepFor < 0 {
		return cli.UsageError(errors.New("--keep is 1 at least, and --keep-for not negative"))
	}
	return nil
}

type pruneOptions struct {
	retentionFlags
	store  storeFlags
	grace  time.Duration
	dryRun bool
	format cli.Format
}

// pruned is the result of a pruning as a document.
type pruned struct {
	Repository string `json:"repository"`
	DryRun     bool   `json:"dryRun"`
	prune.Plan
}

func newPruneCommand(env *cli.Env) *cobra.Command {
	var o pruneOptions
	c := &cobra.Command{
		Use:   "prune REGISTRY/REPOSITORY|oci-layout:DIR",
		Short: "Remove bundles and pointers that nothing needs from a registry",
		Long: `Remove bundles and channel pointers that nothing needs from a registry, with their signatures. What stays:

  what a channel points to now: stable, candidate, and what is fetched ahead
  the newest --keep different bundles of each channel, as targets of a rollback, and the --keep bundles that were built last
  all that pointers named which were issued within --keep-for, and bundles that were built or signed in that time
  bundles that a channel is asked to be promoted to
  bundles that were built or signed within --grace: they may be about to be published
  bundles with a tag of their own, root documents, and all that is not of Vigo

It is safe beside a controller that publishes: when a channel moves meanwhile, it looks again. The registry must let manifests be
deleted; it frees the disk when it collects its garbage. The registry inside of vigo up prunes itself (vigo up --prune-every).

EXIT STATUS
  0  done    1  it could not be done, or not all of it`,
		Example: `  vigo prune registry.example.com/vigo/acme --dry-run
  vigo prune registry.example.com/vigo/acme --keep 5 --keep-for 168h -o json
  vigo prune oci-layout:/media/stick`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error { return runPrune(c.Context(), env, o, args[0]) },
	}
	o.retentionFlags.add(c)
	ageVar(c.Flags(), &o.grace, "grace", prune.DefaultGrace, "keep bundles that were built or signed in this time")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "show what would be removed, and remove nothing")
	o.store.add(c)
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func runPrune(ctx context.Context, env *cli.Env, o pruneOptions, where string) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.grace < 0 {
		return cli.UsageError(errors.New("--grace is not negative"))
	}
	ref := parseReference(where)
	if ref.tag != "" {
		return cli.UsageError(fault.WithHint(fmt.Errorf("%q names a tag or a digest, not a repository", where), "leave out what follows the repository"))
	}
	store, err := o.store.open(ctx, env, ref)
	if err != nil {
		return err
	}
	repo, ok := store.(prune.Repository)
	if !ok {
		return fmt.Errorf("%s: this kind of store does not remove anything", where)
	}
	options := prune.Options{Keep: o.keep, KeepFor: o.keepFor, Grace: o.grace, Now: env.Now}
	plan, err := cli.Wait(env, "pruning "+where, func() (prune.Plan, error) { return carryOut(ctx, repo, options, o.dryRun) })
	if err != nil && len(plan.Removals) == 0 {
		return denied(err)
	}
	return errors.Join(showPruned(env, o, pruned{Repository: ref.store, DryRun: o.dryRun, Plan: plan}), denied(err))
}

// maxMoves is how often a repository is looked at again because a channel moved.
const maxMoves = 5

// carryOut plans and removes, and returns the plan with what was removed.
func carryOut(ctx context.Context, repo prune.Repository, o prune.Options, dryRun bool) (prune.Plan, error) {
	var removed []prune.Removal
	for moves := 0; ; moves++ {
		plan, err := prune.Make(ctx, repo, o)
		if err != nil || dryRun {
			return plan, err
		}
		done, err := plan.Remove(ctx, repo, o, nil)
		removed = append(removed, done...)
		if errors.Is(err, prune.ErrMoved) && moves < maxMoves {
			continue
		}
		plan.Removals, plan.Bytes = removed, 0
		for _, r := range removed {
			plan.Bytes += r.Bytes
		}
		return plan, err
	}
}

func showPruned(env *cli.Env, o pruneOptions, p pruned) error {
	if p.Removals == nil {
		p.Removals = []prune.Removal{}
	}
	if done, err := env.Document(o.format, p); done {
		return err
	}
	rows := make([][]string, len(p.Removals))
	for i, r := range p.Removals {
		rows[i] = []string{r.Kind, shortDigest(r.Digest), r.Tags[0], span.Ago(env.Now(), r.Created), fmt.Sprint(r.Referrers), size(r.Bytes)}
	}
	if len(rows) > 0 {
		if err := env.Columns([]string{"KIND", "DIGEST", "TAG", "CREATED", "REFERRERS", "SIZE"}, rows); err != nil {
			return err
		}
	}
	verb := "removed"
	if p.DryRun {
		verb = "would remove"
	}
	_, err := fmt.Fprintf(env.Stdout, "%s %d of %d artifacts, %s; %d bundles stay (%d young), %d pointers, %d others\n", verb, len(p.Removals),
		len(p.Removals)+p.Bundles+p.Pointers+p.Others, size(p.Bytes), p.Bundles, p.Young, p.Pointers, p.Others)
	return err
}

// size renders a number of bytes.
func size(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// pruneFlags are the flags of a program that prunes by itself.
type pruneFlags struct {
	retentionFlags
	every time.Duration
}

// add adds them; every is how often it is done when nothing else is said.
func (p *pruneFlags) add(c *cobra.Command, every time.Duration, note string) {
	p.retentionFlags.add(c)
	c.Flags().DurationVar(&p.every, "prune-every", every, "remove bundles that nothing needs from the registry this often; 0: never"+note)
}

// errPruneTooOften keeps a typing mistake from being a load on a registry.
var errPruneTooOften = fault.WithHint(errors.New("--prune-every is a minute at least, or 0 for never"), "once a day does for most")

func (p *pruneFlags) retention() (controller.Retention, error) {
	if err := p.check(); err != nil {
		return controller.Retention{}, err
	}
	if p.every != 0 && p.every < time.Minute {
		return controller.Retention{}, cli.UsageError(errPruneTooOften)
	}
	return controller.Retention{Every: p.every, Keep: p.keep, KeepFor: p.keepFor}, nil
}
