package vigocmd

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/ceremony"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/trust"
)

// changeOptions are the flags of the commands that change a proposal.
type changeOptions struct {
	dir       string
	threshold int
	from, til string
	format    cli.Format
}

func (o *changeOptions) add(c *cobra.Command) {
	c.Flags().StringVar(&o.dir, "dir", ".", "folder of the proposal, made when there is none; a proposal that lies there unsigned is changed further")
	c.Flags().IntVar(&o.threshold, "threshold", 0, "how many keys of the role must sign (default: as before; 1 for a new role)")
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
}

func (o *changeOptions) addWindow(c *cobra.Command) {
	c.Flags().StringVar(&o.from, "not-before", "", "date from which on the new key is good: 2027-01-31, or with a time (RFC 3339)")
	c.Flags().StringVar(&o.til, "not-after", "", "date until which the new key is good")
}

const changeHelp = `

The proposal is root-N.json, with root-(N-1).json, the one in force, beside it: the folder is all that a signer needs.`

func newTrustAddCommand(env *cli.Env) *cobra.Command {
	var o changeOptions
	var who identityOptions
	c := &cobra.Command{
		Use:   "add-key ROOT ROLE PUB|--certificate-identity SUBJECT",
		Short: "Propose a root that lists one more key for a role",
		Long: `Propose a root that lists one more key for a role: root, bundle, channel/NAME, channel/* (channels without a role of their own),
approval/NAME (who must approve what a channel is given), modes/NAME (who may order its modes) or task.

For the role bundle it may be an identity in place of a key: somebody, or a workflow, for whom an OpenID Connect issuer vouches
to a Sigstore instance (cosign sign without a key). The trusted root of that instance becomes part of the document, and agents
verify with it offline; one is needed with the first identity, and replaces that before it.` + changeHelp,
		Example: `  vigo trust add-key root.json root cleo.pub --threshold 2
  vigo trust add-key root.json channel/production release.pub --not-after 2027-12-31
  vigo trust add-key root.json bundle --trusted-root trusted_root.json --certificate-identity release@example.com \
    --certificate-oidc-issuer https://accounts.example.com`,
		Args: cli.Args(2, 3),
		RunE: func(_ *cobra.Command, args []string) error {
			change := ceremony.Change{Role: args[1]}
			if err := who.fill(&change, len(args) == 3); err != nil {
				return err
			}
			if len(args) == 3 {
				public, err := readPublicKey(args[2])
				if err != nil {
					return err
				}
				change.Add = []trust.PublicKey{public}
			}
			return propose(env, o, args[0], change, nil)
		},
	}
	o.add(c)
	o.addWindow(c)
	f := c.Flags()
	f.StringVar(&who.trusted, "trusted-root", "", "trusted_root.json of the Sigstore instance that vouches for identities")
	f.StringVar(&who.Subject, "certificate-identity", "", "identity to add in place of a key: email address or URI in its certificates")
	f.StringVar(&who.Issuer, "certificate-oidc-issuer", "", "OpenID Connect issuer that vouches for the identity")
	return c
}

// identityOptions name who may sign without a key.
type identityOptions struct {
	trusted string
	trust.Identity
}

// fill adds the identity to a change. hasKey says that a key was named as well.
func (o identityOptions) fill(change *ceremony.Change, hasKey bool) (err error) {
	if hasKey != (o.Identity == trust.Identity{}) {
		return cli.UsageError(errors.New("one of PUB and --certificate-identity is added"))
	}
	if o.trusted != "" {
		if change.TrustedRoot, err = os.ReadFile(o.trusted); err != nil {
			return fmt.Errorf("reading the Sigstore trusted root: %w", err)
		}
	}
	if !hasKey {
		change.Identity = &o.Identity
	}
	return nil
}

func newTrustRemoveCommand(env *cli.Env) *cobra.Command {
	var o changeOptions
	c := &cobra.Command{
		Use:   "remove-key ROOT ROLE KEY",
		Short: "Propose a root that does not trust a key any more",
		Long: `Propose a root that does not trust a key for a role any more. KEY is the beginning of what vigo trust show prints, or a
file with the public key. Agents that follow the root do not enforce what only that key has signed.` + changeHelp,
		Example: "  vigo trust remove-key root.json channel/production 5a0f3c",
		Args:    cli.Args(3, 3),
		RunE: func(_ *cobra.Command, args []string) error {
			return propose(env, o, args[0], ceremony.Change{Role: args[1]}, &args[2])
		},
	}
	o.add(c)
	return c
}

func newTrustRotateCommand(env *cli.Env) *cobra.Command {
	var o changeOptions
	var key, fresh, old string
	c := &cobra.Command{
		Use:   "rotate ROOT ROLE --make FILE|--to PUB",
		Short: "Propose a root in which a key takes the place of others",
		Long: `Propose a root in which one key takes the place of all keys of a role, or of the one named with --old. --make makes the new
key and keeps its private half in a file; --to names the public half of one that is kept elsewhere. With --threshold alone only
the number of signatures is changed.` + changeHelp,
		Example: `  vigo trust rotate /var/lib/vigo/keys/root.json 'channel/*' --make channel-2.key
  vigo trust rotate root.json root --old 5a0f3c --to ada-2.pub
  vigo trust rotate root.json root --threshold 2`,
		Args: cli.Args(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			change := ceremony.Change{Role: args[1]}
			switch {
			case key != "" && fresh != "":
				return cli.UsageError(errors.New("--to and --make are two keys; the place of others is taken by one"))
			case key != "":
				public, err := readPublicKey(key)
				if err != nil {
					return err
				}
				change.Add = []trust.PublicKey{public}
			case fresh != "":
				public, err := makeKeyFile(fresh)
				if err != nil {
					return err
				}
				change.Add = []trust.PublicKey{public}
			case o.threshold == 0:
				return cli.UsageError(errors.New("one of --make, --to and --threshold is needed"))
			}
			change.Instead = len(change.Add) > 0 && old == ""
			if old != "" {
				return propose(env, o, args[0], change, &old)
			}
			return propose(env, o, args[0], change, nil)
		},
	}
	c.Flags().StringVar(&key, "to", "", "public key (PEM) that takes the place")
	c.Flags().StringVar(&fresh, "make", "", "file for the private half of a new key that takes the place")
	c.Flags().StringVar(&old, "old", "", "key whose place it takes: the beginning of its ID, or a file with the public key (default: all of the role)")
	o.add(c)
	o.addWindow(c)
	return c
}

// propose changes the proposal in a folder, or begins one, and shows it. remove names a key to take out.
func propose(env *cli.Env, o changeOptions, rootPath string, change ceremony.Change, remove *string) (err error) {
	root, err := ceremony.ReadRoot(rootPath)
	if err != nil {
		return err
	}
	change.Threshold = o.threshold
	if change.NotBefore, err = parseDate(o.from); err == nil {
		change.NotAfter, err = parseDate(o.til)
	}
	if err != nil {
		return err
	}
	p, err := ceremony.Propose(o.dir, root)
	if err != nil {
		return err
	}
	if remove != nil {
		id, err := keyID(p.Next, *remove)
		if err != nil {
			return err
		}
		change.Remove = []string{id}
	}
	if err := p.Apply(change); err != nil {
		return err
	}
	if err := p.Save(); err != nil {
		return err
	}
	return showProposal(env, o.format, p)
}

// keyID finds a key of a root by the beginning of its ID, or by a file with its public half.
func keyID(root trust.Root, name string) (string, error) {
	if _, err := os.Stat(name); err == nil {
		public, err := readPublicKey(name)
		return public.ID(), err
	}
	return ceremony.FindKey(root, name)
}

func parseDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, cli.UsageError(fmt.Errorf("%q is no date such as 2027-01-31 or 2027-01-31T12:00:00Z", s))
	}
	return t.UTC(), nil
}

// makeKeyFile makes a key in a file that must not be there.
func makeKeyFile(path string) (trust.PublicKey, error) {
	signer, err := trust.NewKey()
	if err != nil {
		return trust.PublicKey{}, err
	}
	pem, err := signer.PEM()
	if err != nil {
		return trust.PublicKey{}, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return trust.PublicKey{}, fmt.Errorf("making a key: %w", err)
	}
	_, err = f.Write(pem)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return trust.PublicKey{}, fmt.Errorf("making a key: %w", err)
	}
	return signer.Public(), nil
}
