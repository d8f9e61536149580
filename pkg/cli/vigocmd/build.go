package vigocmd

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/gitsource"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/trust"
)

type buildOptions struct {
	rev, output, key, repo, ref string
}

func newBuildCommand(env *cli.Env) *cobra.Command {
	var o buildOptions
	c := &cobra.Command{
		Use:   "build DIR -o oci-layout:OUT[:TAG]|REGISTRY/REPOSITORY[:TAG]",
		Short: "Build the bundle of a commit: the same commit gives the same digest on any machine",
		Long: `Build the bundle of a commit, check it as the controller does, and print the digest of its manifest. The same commit gives
the same digest on any machine. Files that are not committed are not in it. It is unsigned unless --key is given.`,
		Example: `  vigo build . -o oci-layout:out
  vigo build . --rev v1.4 --key bundle.key -o oci-layout:out:v1.4`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error { return runBuild(c.Context(), env, o, args[0]) },
	}
	c.Flags().StringVar(&o.rev, "rev", "HEAD", "commit, tag or branch")
	c.Flags().StringVarP(&o.output, "output", "o", "", "where to put the bundle")
	c.Flags().StringVar(&o.key, "key", "", "private key (PEM) to sign with")
	c.Flags().StringVar(&o.repo, "repo", "", "URL of the repository to record, as the controller does; part of the digest")
	c.Flags().StringVar(&o.ref, "ref", "", "branch to record, as the controller does; part of the digest")
	cobra.CheckErr(c.MarkFlagRequired("output"))
	return c
}

func runBuild(ctx context.Context, env *cli.Env, o buildOptions, dir string) error {
	ref, tag := splitTag(o.output)
	snapshot, err := gitsource.Worktree(ctx, dir, o.rev)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	commit := snapshot.Commit
	cfg, layers, err := controller.Compile(snapshot.Tree, language(), bundle.Config{Counter: commit.Count, Source: bundle.Origin{
		Repo: o.repo, Ref: o.ref, Commit: commit.Hash, CommitTime: commit.Time}})
	if err != nil {
		return err
	}
	built, err := bundle.Build(cfg, controller.Inputs(layers))
	if err != nil {
		return err
	}
	store, err := ocistore.Open(ctx, ref, ocistore.Options{})
	if err != nil {
		return err
	}
	if tag == "" {
		tag = controller.BundleTag(commit.Hash)
	}
	if err := built.Push(ctx, store, tag); err != nil {
		return err
	}
	if o.key != "" {
		if err := signWith(ctx, env, o.key, store, built.Descriptor); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(env.Stdout, built.Descriptor.Digest)
	return err
}

func signWith(ctx context.Context, env *cli.Env, path string, store bundle.Store, d bundle.Descriptor) error {
	pem, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	signer, err := trust.LoadSigner(pem)
	if err != nil {
		return fmt.Errorf("reading the key %s: %w", path, err)
	}
	sig, err := signer.SignManifest(ctx, d)
	if err != nil {
		return err
	}
	_, err = trust.Attach(ctx, store, d, sig, env.Now())
	return err
}

// splitTag parts a reference and its tag: oci-layout:DIR:TAG or host:port/repository:TAG.
func splitTag(ref string) (name, tag string) {
	at := strings.LastIndexByte(ref, ':')
	if rest, ok := strings.CutPrefix(ref, "oci-layout:"); ok {
		if dir, tag, ok := strings.Cut(rest, ":"); ok {
			return "oci-layout:" + dir, tag
		}
		return ref, ""
	}
	if at > strings.LastIndexByte(ref, '/') && at > 0 {
		return ref[:at], ref[at+1:]
	}
	return ref, ""
}

func newVerifyCommand(env *cli.Env) *cobra.Command {
	var key string
	var plain bool
	c := &cobra.Command{
		Use:   "verify --key PUB oci-layout:DIR:TAG|REGISTRY/REPOSITORY:TAG",
		Short: "Check that a bundle is signed by a key, and was signed as a bundle",
		Long: `Check that a bundle is signed by a key, and was signed as a bundle: an attestation by the same key is no signature.

EXIT STATUS
  0  verified    5  refused; the reason is printed    1  it could not be looked at`,
		Example: "  vigo verify --key bundle.pub oci-layout:out:v1",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			pem, err := os.ReadFile(key)
			if err != nil {
				return err
			}
			v, err := trust.NewKeyVerifier(pem, env.Now)
			if err != nil {
				return err
			}
			ref, tag := splitTag(args[0])
			if tag == "" {
				return cli.UsageError(fault.WithHint(fmt.Errorf("%q names no tag", args[0]), "append :TAG"))
			}
			store, err := ocistore.Open(c.Context(), ref, ocistore.Options{PlainHTTP: plain})
			if err != nil {
				return err
			}
			d, err := store.Resolve(c.Context(), tag)
			if err != nil {
				return fmt.Errorf("looking for %s: %w", args[0], err)
			}
			if err := v.Signature(c.Context(), store, d); err != nil {
				return fault.WithCode(err, fault.NotVerified)
			}
			_, err = fmt.Fprintf(env.Stdout, "verified %s\n", d.Digest)
			return err
		},
	}
	c.Flags().StringVar(&key, "key", "", "public key (PEM)")
	c.Flags().BoolVar(&plain, "plain-http", false, "reach the registry without TLS")
	cobra.CheckErr(c.MarkFlagRequired("key"))
	return c
}
