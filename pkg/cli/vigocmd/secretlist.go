package vigocmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/secrets"
	"vigo.dev/pkg/secrets/sops"
)

func newSecretShowCommand(env *cli.Env) *cobra.Command {
	var o secretOptions
	c := &cobra.Command{
		Use:     "show NAME",
		Short:   "Decrypt a secret and print it",
		Example: "  vigo secret show db/password --identity ~/.ssh/id_ed25519",
		Args:    cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			value, err := o.open(c.Context(), env, args[0])
			if err != nil {
				return err
			}
			_, err = env.Stdout.Write(value)
			return err
		},
	}
	o.add(c, true)
	return c
}

// listedSecret is one secret and where the policy uses it.
type listedSecret struct {
	Name string   `json:"name"`
	File string   `json:"file"`
	Uses []string `json:"uses"`
}

func newSecretListCommand(env *cli.Env) *cobra.Command {
	var o secretOptions
	var format cli.Format
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the secrets of a policy repository and where they are used",
		Long:    "List the secrets of a policy repository and where they are used. It takes no identity: names are not secret.",
		Example: "  vigo secret list\n  vigo secret list -C policy -o json",
		Args:    cli.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			list, err := o.list()
			if err != nil {
				return err
			}
			if done, err := env.Document(format, list); done {
				return err
			}
			rows := make([][]string, len(list))
			for i, s := range list {
				rows[i] = []string{s.Name, s.File, strings.Join(s.Uses, " ")}
			}
			return env.Columns([]string{"SECRET", "FILE", "USED AT"}, rows)
		},
	}
	o.add(c, false)
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func (o *secretOptions) list() ([]listedSecret, error) {
	fsys, err := cli.Folder(o.dir)
	if err != nil {
		return nil, err
	}
	rules, err := policy.ListSecrets(fsys)
	if err != nil {
		return nil, err
	}
	uses := map[string][]string{}
	if p, content, err := compile(o.dir); err == nil { // a policy with mistakes has secrets too
		for _, u := range language().SecretUses(p, content) {
			uses[u.Name] = append(uses[u.Name], u.Pos.String())
		}
	}
	list := []listedSecret{}
	add := func(name, file string) {
		list = append(list, listedSecret{Name: name, File: file, Uses: slices.Compact(uses[name])})
	}
	for file := range rules.Files {
		at := path.Join(policy.SecretsDir, file)
		name, single := strings.CutSuffix(file, ".age")
		if single {
			add(name, at)
			continue
		}
		names, err := sopsNames(fsys, file)
		if err != nil {
			return nil, fault.WithHint(fmt.Errorf("reading %s: %w", at, err), "what is no secret belongs into another folder")
		}
		for _, name := range names {
			add(name, at)
		}
	}
	slices.SortFunc(list, func(a, b listedSecret) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// sopsNames are the names of the values of a SOPS file, which are not encrypted.
func sopsNames(fsys fs.FS, file string) ([]string, error) {
	data, err := fs.ReadFile(fsys, path.Join(policy.SecretsDir, file))
	if err != nil {
		return nil, err
	}
	names, err := sops.Names(file, data)
	base := strings.TrimSuffix(file, path.Ext(file))
	base = strings.TrimSuffix(strings.TrimSuffix(base, ".sops"), ".enc")
	for i := range names {
		names[i] = base + "/" + names[i]
	}
	return names, err
}

func newSecretRekeyCommand(env *cli.Env) *cobra.Command {
	var o secretOptions
	c := &cobra.Command{
		Use:   "rekey",
		Short: "Encrypt every secret again, to the recipients there are now",
		Long: `Encrypt every secret again, to the recipients that secrets/recipients.txt lists now. Who was taken out can still open what is
in the history of the repository: after that, give those secrets new values.`,
		Example: "  vigo secret rekey --identity ~/.config/vigo/identity.txt",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			fsys, err := cli.Folder(o.dir)
			if err != nil {
				return err
			}
			rules, err := policy.ListSecrets(fsys)
			if err != nil {
				return err
			}
			opener, err := o.opener(c.Context(), env)
			if err != nil {
				return err
			}
			session := opener.In(fsys, rules)
			values := map[string][]byte{}
			var failed error
			for file := range rules.Files { // all of them, or none
				if name, single := strings.CutSuffix(file, ".age"); single {
					value, err := session.Open(c.Context(), name)
					failed = errors.Join(failed, err)
					values[name] = value
				}
			}
			if failed != nil {
				return failed
			}
			for name, value := range values {
				if err := o.keep(filepath.Join(o.dir, policy.SecretsDir, filepath.FromSlash(name)+".age"), value); err != nil {
					return err
				}
			}
			fmt.Fprintf(env.Stdout, "%d secrets are encrypted to the recipients there are now\n", len(values))
			if others := len(rules.Files) - len(values); others > 0 {
				env.Say("%s: hint: %d SOPS files are left to `sops updatekeys`", env.Name, others)
			}
			return nil
		},
	}
	o.add(c, true)
	return c
}

func newSecretRecipientCommand(env *cli.Env) *cobra.Command {
	var data string
	var identities []string
	c := &cobra.Command{
		Use:     "recipient",
		Short:   "Print the recipient of a controller, for secrets/recipients.txt",
		Example: "  vigo secret recipient --data /var/lib/vigo >> secrets/recipients.txt",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			refs := identities
			if len(refs) == 0 {
				file := filepath.Join(data, controllerIdentity)
				if public, err := os.ReadFile(file + ".pub"); err == nil {
					_, err = env.Stdout.Write(public)
					return err
				}
				refs = []string{"file:" + file}
			}
			ids, err := readIdentities(c.Context(), env, refs)
			if err != nil {
				return fault.WithHint(err, "`vigo up` and `vigo controller` make one at their first start")
			}
			for _, r := range secrets.RecipientsOf(ids) {
				fmt.Fprintln(env.Stdout, r)
			}
			return nil
		},
	}
	c.Flags().StringVar(&data, "data", "/var/lib/vigo", "data folder of the controller")
	c.Flags().StringArrayVar(&identities, "identity", nil, "print those of these identities instead: PATH, env:NAME or exec:PROGRAM")
	cobra.CheckErr(c.MarkFlagDirname("data"))
	return c
}
