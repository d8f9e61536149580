package agentcmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/secrets"
)

// secretFlags say what secrets are opened with where no controller does it.
type secretFlags struct {
	identities []string
	dir        string
}

func (s *secretFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&s.identities, "secrets-identity", nil, "age identity that opens the encrypted files of a policy folder: PATH or env:NAME; may be repeated")
	f.StringVar(&s.dir, "secrets-dir", "", "folder that the policy may read secrets from (providers of kind file)")
	cobra.CheckErr(c.MarkFlagDirname("secrets-dir"))
}

// opener returns what opens the secrets that a node may have. The encrypted files are in tree; nil: there are none, as in a
// bundle.
func (s *secretFlags) opener(ctx context.Context, env *cli.Env, tree fs.FS) (func(context.Context, *policy.Policy, []string) map[string]catalog.Secret, error) {
	o := &secrets.Opener{Dir: s.dir, Getenv: env.Getenv, Now: env.Now}
	for _, ref := range s.identities {
		if strings.HasPrefix(ref, "exec:") {
			return nil, cli.UsageError(errors.New("--secrets-identity: want PATH or env:NAME; no program is run for it here"))
		}
		ids, err := secrets.ReadIdentities(ctx, ref, secrets.IdentityOptions{Getenv: env.Getenv})
		if err != nil {
			return nil, err
		}
		o.Identities = append(o.Identities, ids...)
	}
	return func(ctx context.Context, p *policy.Policy, names []string) map[string]catalog.Secret {
		session, values := o.In(tree, p.Fleet.Secrets), make(map[string]catalog.Secret, len(names))
		for _, name := range names {
			values[name] = one(ctx, session, p, name, tree != nil)
		}
		return values
	}, nil
}

// one opens one secret, or says why not.
func one(ctx context.Context, session *secrets.Session, p *policy.Policy, name string, folder bool) catalog.Secret {
	place, known := p.Fleet.Secrets.Locate(name)
	if known && place.Provider == "" && !folder {
		return catalog.Secret{Lacks: "a bundle holds no encrypted files: apply the folder of the policy"}
	}
	value, err := session.Open(ctx, name)
	if err != nil {
		return catalog.Secret{Lacks: fmt.Sprint(err)}
	}
	return catalog.Secret{Value: string(value), Version: place.Version}
}
