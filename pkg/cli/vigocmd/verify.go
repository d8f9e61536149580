package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/ceremony"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/trust"
)

type verifyOptions struct {
	key, root      string
	trusted        string
	identity       trust.Identity
	fleet, channel string
	store          storeFlags
	format         cli.Format
}

func newVerifyCommand(env *cli.Env) *cobra.Command {
	var o verifyOptions
	c := &cobra.Command{
		Use:   "verify --key PUB|--trust-root ROOT oci-layout:DIR:TAG|REGISTRY/REPOSITORY:TAG",
		Short: "Check a bundle or a channel pointer as agents do, and explain every check",
		Long: `Check a bundle or a channel pointer as agents do, and explain every check: which signatures were found, by which keys, for
which purpose, how many of them count, for which fleet and channels it is meant, and that every blob has its digest. A channel
pointer is checked with the bundles it names. In place of the tag there may be @sha256:…, as vigo build prints it.

Trusted are the keys of a root document (--trust-root; newer ones in the registry are followed, as agents do), one public key
(--key), or one identity of a Sigstore instance (keyless; the trusted root is a file, and nothing is fetched). An attestation
by the same key is no signature. What a node has seen before is not known here: a rollback is for the node to refuse.

User and password of a registry come from VIGO_REGISTRY_USER and VIGO_REGISTRY_PASSWORD.

EXIT STATUS
  0  verified    5  refused; the reason is printed    1  it could not be looked at`,
		Example: `  vigo verify --key bundle.pub oci-layout:out:v1
  vigo verify --trust-root root.json registry.example.com/vigo/acme:channel-stable
  vigo verify --key bundle.pub oci-layout:out@$(vigo build . --key bundle.key -o oci-layout:out)
  vigo verify --trusted-root trusted_root.json --certificate-identity release@example.com \
    --certificate-oidc-issuer https://accounts.example.com registry.example.com/vigo/acme:v1.4`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error { return runVerify(c.Context(), env, o, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.key, "key", "", "public key (PEM) that must have signed")
	f.StringVar(&o.root, "trust-root", "", "root document that says whose signatures count")
	f.StringVar(&o.trusted, "trusted-root", "", "trusted_root.json of a Sigstore instance, for a keyless signature")
	f.StringVar(&o.identity.Subject, "certificate-identity", "", "who must have signed without a key: email address or URI in the certificate")
	f.StringVar(&o.identity.Issuer, "certificate-oidc-issuer", "", "OpenID Connect issuer that vouched for the identity")
	f.StringVar(&o.fleet, "fleet", "", "fleet that it must be meant for")
	f.StringVar(&o.channel, "channel", "", "channel that it must be meant for")
	o.store.add(c)
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(c.MarkFlagFilename("key", "pub", "pem"))
	return c
}

// inspected is the result of a verification as a document.
type inspected struct {
	Reference  string             `json:"reference"`
	Digest     string             `json:"digest,omitempty"`
	Type       string             `json:"artifactType,omitempty"`
	Verified   bool               `json:"verified"`
	Root       int64              `json:"root,omitempty"` // version of the root document that was followed to
	Blobs      int                `json:"blobs"`          // that were read and compared with their digests
	Pointer    *bundle.Pointer    `json:"pointer,omitempty"`
	Provenance []trust.Provenance `json:"provenance,omitempty"`
	Checks     []trust.Check      `json:"checks"`
}

func runVerify(ctx context.Context, env *cli.Env, o verifyOptions, arg string) error {
	ref := parseReference(arg)
	if err := ref.needTag(); err != nil {
		return err
	}
	open, err := o.verifier(env)
	if err != nil {
		return err
	}
	store, err := o.store.open(ctx, env, ref)
	if err != nil {
		return err
	}
	result := inspected{Reference: ref.String()}
	seen, err := cli.Wait(env, "verifying "+arg, func() (trust.Inspection, error) {
		v, root, first := open(ctx, store)
		i := v.Inspect(ctx, store, trust.Inquiry{Tag: ref.tag, Name: arg, Fleet: o.fleet, Channel: o.channel})
		result.Root, result.Checks = root, append(first, i.Checks...)
		return i, i.Err()
	})
	result.Digest, result.Type, result.Blobs, result.Pointer, result.Verified = seen.Digest, seen.Type, seen.Blobs, seen.Pointer, err == nil
	result.Provenance = seen.Provenance
	done, e := env.Document(o.format, result)
	if !done {
		e = showChecks(env, result)
	}
	if err != nil {
		return denied(cli.Refused(err))
	}
	return e
}

// opener makes a verifier that may look for newer root documents in a store; it says which root that is, and what it found
// on the way.
type opener func(context.Context, bundle.Source) (v *trust.Verifier, root int64, checks []trust.Check)

// verifier reads what is trusted.
func (o verifyOptions) verifier(env *cli.Env) (opener, error) {
	keyless := o.trusted != "" || o.identity != trust.Identity{}
	ways := slices.DeleteFunc([]bool{o.key != "", o.root != "", keyless}, func(given bool) bool { return !given })
	if len(ways) != 1 {
		return nil, cli.UsageError(fault.WithHint(errors.New("one of --key, --trust-root and --trusted-root says whose signature counts"),
			"vigo trust export writes both the root document and the public keys"))
	}
	if o.root != "" {
		root, err := ceremony.ReadRoot(o.root)
		return func(ctx context.Context, src bundle.Source) (*trust.Verifier, int64, []trust.Check) {
			return followed(ctx, env, src, root)
		}, err
	}
	var v *trust.Verifier
	path := o.key
	if keyless {
		path = o.trusted
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the key: %w", err)
	}
	if keyless {
		v, err = trust.NewKeylessVerifier(data, o.identity, env.Now)
	} else {
		v, err = trust.NewKeyVerifier(data, env.Now)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key %s: %w", path, err)
	}
	return func(context.Context, bundle.Source) (*trust.Verifier, int64, []trust.Check) { return v, 0, nil }, nil
}

// followed is a verifier for the newest root document that agents would follow to. They stay with the last good one when
// the next is refused, and so does this.
func followed(ctx context.Context, env *cli.Env, src bundle.Source, root trust.Root) (*trust.Verifier, int64, []trust.Check) {
	newest, err := root.Newest(ctx, src)
	checks := []trust.Check{{Name: "root", State: trust.StateOK, What: trust.RootTag(newest.Version), Detail: fmt.Sprintf("root %d is in force", newest.Version)}}
	if newest.Version != root.Version {
		checks[0].Detail = fmt.Sprintf("root %d of the registry follows root %d, signed by enough keys of each", newest.Version, root.Version)
	}
	if err != nil {
		next := trust.Check{Name: "root", State: trust.StateIgnored, What: trust.RootTag(newest.Version + 1), Detail: err.Error()}
		var r *trust.Refusal
		if errors.As(err, &r) {
			next.Refusal = r.Name
		}
		checks = append(checks, next)
	}
	return trust.NewVerifier(newest, env.Now), newest.Version, checks
}

// showChecks prints one line a check, and the advice for those that failed.
func showChecks(env *cli.Env, result inspected) error {
	words := map[trust.State]string{trust.StateFailed: "FAILED", trust.StateUnknown: "?", trust.StateAbsent: "-"}
	colours := map[trust.State]string{trust.StateOK: "green", trust.StateFailed: "red", trust.StateUnknown: "yellow", trust.StateIgnored: "dim", trust.StateAbsent: "dim"}
	for _, c := range result.Checks {
		word := words[c.State]
		if word == "" {
			word = string(c.State)
		}
		detail := c.Detail
		if c.Refusal != "" {
			detail = "refused (" + c.Refusal + "): " + detail
		}
		fmt.Fprintf(env.Stdout, "%s %-10s  %-19s  %s\n", env.Paint(colours[c.State], fmt.Sprintf("%-8s", word)), c.Name, shortWhat(c.What), detail)
		if c.State == trust.StateFailed && c.Hint != "" {
			fmt.Fprintf(env.Stdout, "%-8s %-10s  %-19s  hint: %s\n", "", "", "", c.Hint)
		}
	}
	if !result.Verified {
		return nil
	}
	_, err := fmt.Fprintf(env.Stdout, "verified %s\n", result.Digest)
	return err
}

// shortWhat is what a check is about, in a column.
func shortWhat(what string) string {
	const width = 19
	if len(what) > width {
		return what[:width]
	}
	return what
}
