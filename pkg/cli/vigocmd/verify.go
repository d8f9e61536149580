package vigocmd

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/trust"
)

type verifyOptions struct {
	key    string
	store  storeFlags
	format cli.Format
}

// verified is the result of a verification as a document.
type verified struct {
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	Type      string `json:"artifactType"`
	Blobs     int    `json:"blobs"` // that were read and compared with their digests
}

func newVerifyCommand(env *cli.Env) *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{
		Use:   "verify --key PUB oci-layout:DIR:TAG|REGISTRY/REPOSITORY:TAG",
		Short: "Check that a bundle is signed by a key, and was signed as a bundle",
		Long: `Check that a bundle is signed by a key, and was signed as a bundle: an attestation by the same key is no signature.
Then every blob of it is read and compared with its digest. In place of the tag there may be @sha256:…, as vigo build
prints it. User and password of a registry come from VIGO_REGISTRY_USER and VIGO_REGISTRY_PASSWORD.

EXIT STATUS
  0  verified    5  refused; the reason is printed    1  it could not be looked at`,
		Example: `  vigo verify --key bundle.pub oci-layout:out:v1
  vigo verify --key cosign.pub registry.example.com/vigo/acme:v1.4
  vigo verify --key bundle.pub oci-layout:out@$(vigo build . --key bundle.key -o oci-layout:out)`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error { return runVerify(c.Context(), env, o, args[0]) },
	}
	c.Flags().StringVar(&o.key, "key", "", "public key (PEM)")
	o.store.add(c)
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(c.MarkFlagRequired("key"))
	cobra.CheckErr(c.MarkFlagFilename("key", "pub", "pem"))
	return c
}

func runVerify(ctx context.Context, env *cli.Env, o verifyOptions, arg string) error {
	ref := parseReference(arg)
	if err := ref.needTag(); err != nil {
		return err
	}
	pem, err := os.ReadFile(o.key)
	if err != nil {
		return fmt.Errorf("reading the key: %w", err)
	}
	v, err := trust.NewKeyVerifier(pem, env.Now)
	if err != nil {
		return fmt.Errorf("reading the key %s: %w", o.key, err)
	}
	store, err := o.store.open(ctx, env, ref)
	if err != nil {
		return err
	}
	result, err := cli.Wait(env, "verifying "+arg, func() (verified, error) { return verify(ctx, v, store, ref) })
	if err != nil {
		return denied(cli.Refused(err))
	}
	if done, err := env.Document(o.format, result); done {
		return err
	}
	_, err = fmt.Fprintf(env.Stdout, "verified %s\n", result.Digest)
	return err
}

func verify(ctx context.Context, v *trust.Verifier, store bundle.Source, ref reference) (verified, error) {
	result := verified{Reference: ref.String()}
	d, err := store.Resolve(ctx, ref.tag)
	if err != nil {
		return result, fmt.Errorf("looking for %s: %w", ref, err)
	}
	result.Digest = d.Digest
	if err := v.Signature(ctx, store, d); err != nil {
		return result, err
	}
	result.Type, result.Blobs, err = readAll(ctx, store, d)
	return result, err
}

// readAll reads a manifest and all it names, which fails where content does not have its digest.
func readAll(ctx context.Context, src bundle.Source, d bundle.Descriptor) (artifactType string, blobs int, err error) {
	data, err := bundle.Fetch(ctx, src, d, bundle.MaxManifest)
	if err != nil {
		return "", 0, err
	}
	m, err := bundle.ReadManifest(data)
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", d.Digest, err)
	}
	for _, part := range append([]bundle.Descriptor{m.Config}, m.Layers...) {
		if _, err := bundle.Fetch(ctx, src, part, bundle.MaxLayer); err != nil {
			return "", 0, err
		}
	}
	return m.ArtifactType, len(m.Layers) + 2, nil
}
