package agentcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trust"
)

type applyOptions struct {
	policy string
	labels []string
	node   string
	dryRun bool
	bare   bool
	tags   []string
	key    string
	secret secretFlags
	format cli.Format
}

func newApplyCommand(g *globals) *cobra.Command {
	var o applyOptions
	c := &cobra.Command{
		Use:   "apply --policy DIR|oci-layout:DIR:TAG",
		Short: "Converge this host once with a policy, without a server",
		Long: `Converge this host once with a policy, without a server: from a folder, which is compiled first, or from a bundle in an
OCI image layout. A bundle is verified when --key is given. With --root it is that folder which is converged, such as an
image that is being built; programs then run inside of it, and services are only enabled.

Secrets are opened here, without a controller: encrypted files of the folder with --secrets-identity, providers of kind file
below --secrets-dir, and those of kind env from variables that begin with VIGO_SECRET_. A server is not asked for any.

A resource with a guard is not changed, and failed: there is no service to check in with. With --no-guard, and below another
root folder than /, it is changed like any other.

EXIT STATUS
  0  converged    2  the dry run found drift    3  some resources failed
  1  the policy has mistakes or cannot be read   5  the bundle was refused`,
		Example: `  vigo-agent apply --policy ./policy --label role=web --dry-run
  vigo-agent apply --policy oci-layout:bundle:v1 --key bundle.pub --label role=web -o json
  vigo-agent apply --policy ./policy --label role=db --secrets-identity /root/identity.txt
  vigo-agent apply --policy ./policy --root /tmp/image`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error { return runApply(c.Context(), g, o) },
	}
	f := c.Flags()
	f.StringVar(&o.policy, "policy", "", "policy folder, or oci-layout:DIR:TAG")
	f.StringArrayVar(&o.labels, "label", nil, "label of this node as name=value; may be repeated")
	f.StringVar(&o.node, "node", "", "name of this node (default: its host name)")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would change, and change nothing")
	f.BoolVar(&o.bare, "no-guard", false, "change guarded resources, although nothing would take the change back")
	tagsFlag(c, &o.tags)
	f.StringVar(&o.key, "key", "", "public key (PEM) that must have signed the bundle")
	cobra.CheckErr(c.MarkFlagFilename("key", "pub", "pem"))
	cobra.CheckErr(c.MarkFlagDirname("policy"))
	o.secret.add(c)
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(c.MarkFlagRequired("policy"))
	return c
}

func runApply(ctx context.Context, g *globals, o applyOptions) error {
	if !g.debug {
		g.level.Set(slog.LevelError) // the result says what failed
	}
	labels, err := cli.ParseLabels(o.labels)
	if err != nil {
		return err
	}
	src, tree, err := openPolicy(ctx, g, o)
	if err != nil {
		return err
	}
	secrets, err := o.secret.opener(ctx, g.env, tree)
	if err != nil {
		return err
	}
	state, err := agent.OpenState(g.stateDir())
	if err != nil {
		return err
	}
	unlock, err := state.Lock()
	if err != nil {
		return fault.WithHint(err, "wait until it has finished, or stop it")
	}
	defer unlock()
	m, err := machine.New(machine.Options{Root: g.root, Log: g.log(), Now: g.env.Now, Rehash: -1})
	if err != nil {
		return err
	}
	defer m.Close()
	if o.node == "" {
		if o.node, err = cli.NodeName(ctx, m.Host()); err != nil {
			return err
		}
	}
	config := agent.ApplyConfig{
		State: state, Language: g.language(), Host: m.Host(), Log: g.log(), Now: g.env.Now, Source: warnOfLabels(g.env, labels, src),
		Node: o.node, Labels: labels, DryRun: o.dryRun, Only: only(o.tags), Version: g.env.Version,
		Secrets:   secrets,
		Unguarded: o.bare || g.root != "/",
		Rest:      g.frugal,
	}
	run, err := cli.Wait(g.env, "converging "+g.root, func() (report.Run, error) { return agent.Apply(ctx, config) })
	if err != nil {
		return cli.Refused(err)
	}
	nothingTagged(g.env, o.tags, run)
	return showRun(g.env, o.format, run)
}

// openPolicy reads the policy from a folder, or from a bundle that is verified when a key is given. The
// files of a folder come with it.
func openPolicy(ctx context.Context, g *globals, o applyOptions) (agent.PolicySource, fs.FS, error) {
	layout, isLayout := strings.CutPrefix(o.policy, "oci-layout:")
	if !isLayout {
		if o.key != "" {
			return nil, nil, cli.UsageError(errors.New("--key is for bundles; a folder has no signature"))
		}
		fsys, err := cli.Folder(o.policy)
		if err != nil {
			return nil, nil, err
		}
		return agent.Folder(fsys), fsys, nil
	}
	dir, tag, _ := strings.Cut(layout, ":")
	if name, digest, ok := strings.Cut(layout, "@sha256:"); ok {
		dir, tag = name, "sha256:"+digest
	}
	if tag == "" {
		return nil, nil, cli.UsageError(fault.WithHint(fmt.Errorf("%q names no tag", o.policy), "write oci-layout:DIR:TAG, or oci-layout:DIR@sha256:…"))
	}
	store, err := ocistore.Open(ctx, "oci-layout:"+dir, ocistore.Options{})
	if err != nil {
		return nil, nil, err
	}
	var verify func(context.Context, bundle.Source, bundle.Descriptor) error
	if o.key != "" {
		pem, err := os.ReadFile(o.key)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the key: %w", err)
		}
		v, err := trust.NewKeyVerifier(pem, g.env.Now)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the key %s: %w", o.key, err)
		}
		verify = v.Signature
	}
	return agent.Bundle(store, tag, verify), nil, nil
}

// warnOfLabels looks at the policy a source gives before the labels are used.
func warnOfLabels(env *cli.Env, labels map[string]string, src agent.PolicySource) agent.PolicySource {
	return func(ctx context.Context, l catalog.Language) (*policy.Policy, *policy.Content, report.Run, error) {
		p, content, from, err := src(ctx, l)
		if err == nil {
			env.WarnOfLabels(labels, p.Fleet.Labels)
		}
		return p, content, from, err
	}
}

// showRun prints a run and returns the exit code it stands for.
func showRun(env *cli.Env, f cli.Format, run report.Run) error {
	if done, err := env.Document(f, run); err != nil {
		return err
	} else if !done {
		printRun(env, run)
	}
	switch {
	case run.Counts.Failed > 0 || run.Error != "":
		return cli.Quiet(fault.Partial)
	case run.DryRun && run.Counts.Drift > 0:
		return cli.Quiet(fault.Drift)
	}
	return nil
}

func printRun(env *cli.Env, run report.Run) {
	colours := map[report.Outcome]string{report.Failed: "red", report.Skipped: "yellow", report.Drift: "yellow", report.Changed: "green", report.Corrected: "green"}
	for _, r := range run.Results {
		fmt.Fprintf(env.Stdout, "%s %s", env.Paint(colours[r.Outcome], string(r.Outcome)), r.ID)
		if r.Refresh != "" {
			fmt.Fprintf(env.Stdout, " (refresh %s)", r.Refresh)
		}
		if r.Guard != "" {
			fmt.Fprintf(env.Stdout, " (guarded: %s)", r.Guard)
		}
		fmt.Fprintln(env.Stdout)
		if r.Reason != "" {
			fmt.Fprintf(env.Stdout, "    %s\n", strings.ReplaceAll(r.Reason, "\n", "\n    "))
		}
		for _, c := range r.Changes {
			fmt.Fprintf(env.Stdout, "    %s\n", strings.ReplaceAll(c.String(), "\n", "\n    "))
		}
	}
	n := run.Counts
	fmt.Fprintf(env.Stdout, "%d resources: %d ok, %d changed, %d corrected, %d failed, %d skipped, %d drift; %d refreshed; %s\n",
		n.Total(), n.OK, n.Changed, n.Corrected, n.Failed, n.Skipped, n.Drift, n.Refreshed, run.Took.Round(100_000))
	if run.Error != "" {
		fmt.Fprintln(env.Stdout, env.Paint("red", run.Error))
	}
}
