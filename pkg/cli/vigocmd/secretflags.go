package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/secrets"
)

// secretFlags say what a controller opens secrets with.
type secretFlags struct {
	identities []string
	dir        string
	vaults     []string
}

// controllerIdentity is where a controller keeps its own age identity, in its data folder.
const controllerIdentity = "keys/secrets.key"

func (s *secretFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringArrayVar(&s.identities, "secrets-identity", nil, "age identity that opens the secrets of the policy: PATH, env:NAME or exec:PROGRAM (default: DATA/"+controllerIdentity+", made at the first start); can be repeated")
	f.StringVar(&s.dir, "secrets-dir", "", "folder that policies may read secrets from (providers of kind file)")
	f.StringArrayVar(&s.vaults, "vault", nil, "URL of a Vault or OpenBao server that policies may name, with =FILE for the file of its token (default: the token in $VIGO_VAULT_TOKEN); can be repeated")
	cobra.CheckErr(c.MarkFlagDirname("secrets-dir"))
}

// open returns what opens secrets, with the identity of the controller in a data folder when no other is named.
func (s *secretFlags) open(ctx context.Context, env *cli.Env, data string) (*secrets.Opener, error) {
	o := &secrets.Opener{Dir: s.dir, Getenv: env.Getenv, Vaults: map[string]secrets.Token{}, Now: env.Now}
	var err error
	if len(s.identities) == 0 {
		if err := os.MkdirAll(filepath.Join(data, "keys"), 0o700); err != nil {
			return nil, fmt.Errorf("opening the identity of the controller: %w", err)
		}
		o.Identities, err = secrets.KeepIdentity(filepath.Join(data, controllerIdentity))
	} else {
		o.Identities, err = readIdentities(ctx, env, s.identities)
	}
	if err != nil {
		return nil, err
	}
	for _, v := range s.vaults {
		address, file, named := strings.Cut(v, "=")
		if !strings.HasPrefix(address, "https://") && !strings.HasPrefix(address, "http://") {
			return nil, cli.UsageError(fmt.Errorf("--vault %q is no URL", address))
		}
		o.Vaults[strings.TrimSuffix(address, "/")] = func() (string, error) {
			if named {
				return secretFile("the token", file)
			}
			if token := env.Getenv("VIGO_VAULT_TOKEN"); token != "" {
				return token, nil
			}
			return "", errors.New("VIGO_VAULT_TOKEN is not set")
		}
	}
	return o, nil
}

// readIdentities reads the identities that references name.
func readIdentities(ctx context.Context, env *cli.Env, refs []string) (all []age.Identity, err error) {
	where, done, err := keyOptions(env)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	for _, ref := range refs {
		ids, err := secrets.ReadIdentities(ctx, ref, secrets.IdentityOptions{Getenv: where.Getenv, Runner: where.Runner})
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	return all, nil
}
