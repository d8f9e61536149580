package vigocmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/trust"
)

type buildOptions struct {
	rev, output, key, repo, ref string
	approvals                   []string
	store                       storeFlags
}

func newBuildCommand(env *cli.Env) *cobra.Command {
	var o buildOptions
	c := &cobra.Command{
		Use:   "build [DIR] -o oci-layout:OUT[:TAG]|REGISTRY/REPOSITORY[:TAG]",
		Short: "Build the bundle of a commit: the same commit gives the same digest on any machine",
		Long: `Build the bundle of a commit, check it as the controller does, and print the digest of its manifest. The same commit gives
the same digest on any machine. Files that are not committed are not in it. It is unsigned unless --key is given. Without a
tag it is tagged as the controller tags it, after its commit. User and password of a registry come from VIGO_REGISTRY_USER
and VIGO_REGISTRY_PASSWORD.

EXIT STATUS
  0  built    1  the policy has mistakes, or something cannot be read or written`,
		Example: `  vigo build . -o oci-layout:out
  vigo build . --rev v1.4 --key bundle.key -o oci-layout:out:v1.4
  vigo build policy.git --rev main -o registry.example.com/vigo/acme`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error { return runBuild(c.Context(), env, o, directory(args)) },
	}
	c.Flags().StringVar(&o.rev, "rev", "HEAD", "commit, tag or branch")
	c.Flags().StringVarP(&o.output, "output", "o", "", "where to put the bundle")
	c.Flags().StringVar(&o.key, "key", "", "private key to sign with: PATH, env:NAME, pkcs11:… or exec:PROGRAM")
	c.Flags().StringVar(&o.repo, "repo", "", "URL of the repository to record, as the controller does; part of the digest")
	c.Flags().StringVar(&o.ref, "ref", "", "branch to record, as the controller does; part of the digest")
	c.Flags().StringArrayVar(&o.approvals, "approval", nil, "who approved the commit, as the controller records it; part of the digest; may be repeated")
	o.store.add(c)
	cobra.CheckErr(c.MarkFlagRequired("output"))
	cobra.CheckErr(c.MarkFlagFilename("key", "key", "pem"))
	return c
}

func runBuild(ctx context.Context, env *cli.Env, o buildOptions, dir string) error {
	to := parseReference(o.output)
	if to.isDigest() {
		return cli.UsageError(errors.New("--output names a digest, which is what a bundle gets, not what it is given"))
	}
	return withKey(ctx, env, o.key, func(signer *trust.Signer) error {
		built, err := cli.Wait(env, "building "+dir, func() (bundle.Descriptor, error) { return build(ctx, env, o, dir, to, signer) })
		if err != nil {
			return denied(err)
		}
		_, err = fmt.Fprintln(env.Stdout, built.Digest)
		return err
	})
}

// build makes the bundle, puts it into its store, and signs it there when there is a signer.
func build(ctx context.Context, env *cli.Env, o buildOptions, dir string, to reference, signer *trust.Signer) (bundle.Descriptor, error) {
	var none bundle.Descriptor
	snapshot, err := gitsource.Worktree(ctx, dir, o.rev)
	if err != nil {
		return none, err
	}
	defer snapshot.Close()
	commit := snapshot.Commit
	cfg, layers, err := controller.Compile(snapshot.Tree, language(), bundle.Config{Counter: commit.Count, Source: bundle.Origin{
		Repo: o.repo, Ref: o.ref, Commit: commit.Hash, CommitTime: commit.Time, Approvals: o.approvals}})
	if err != nil {
		return none, err
	}
	built, err := bundle.Build(cfg, controller.Inputs(layers))
	if err != nil {
		return none, err
	}
	store, err := o.store.open(ctx, env, to)
	if err != nil {
		return none, err
	}
	if to.tag == "" {
		to.tag = controller.BundleTag(commit.Hash)
	}
	if err := built.Push(ctx, store, to.tag); err != nil {
		return none, err
	}
	if signer != nil {
		if err := sign(ctx, env, signer, store, built.Descriptor); err != nil {
			return none, err
		}
	}
	return built.Descriptor, nil
}
