package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/term"
	"gopkg.in/yaml.v3"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/secrets"
)

// secretOptions say which repository, and what opens its secrets.
type secretOptions struct {
	dir        string
	identities []string
}

func (o *secretOptions) add(c *cobra.Command, opens bool) {
	c.Flags().StringVarP(&o.dir, "policy", "C", ".", "folder of the policy repository")
	cobra.CheckErr(c.MarkFlagDirname("policy"))
	if opens {
		c.Flags().StringArrayVar(&o.identities, "identity", nil, "age identity or SSH key: PATH, env:NAME or exec:PROGRAM (default: $VIGO_AGE_IDENTITY, $SOPS_AGE_KEY, $SOPS_AGE_KEY_FILE, ~/.config/vigo/identity.txt, ~/.config/sops/age/keys.txt, ~/.ssh/id_ed25519); can be repeated")
	}
}

func newSecretCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{
		Use:   "secret",
		Short: "Keep the secrets of a policy repository, encrypted with age",
		Long: `Keep the secrets of a policy repository, encrypted with age.

A secret is a file secrets/NAME.age, which a policy uses as {{ secret "NAME" }}. It is encrypted to everybody in
secrets/recipients.txt: the controller, and the people who edit it. SOPS files below secrets/ are read too; sops edits them.
No value is ever taken from the command line or shown on it.`,
	}
	c.AddCommand(newSecretSetCommand(env), newSecretEditCommand(env), newSecretShowCommand(env), newSecretListCommand(env), newSecretRekeyCommand(env), newSecretRecipientCommand(env))
	return c
}

// file is the path of the encrypted file of a secret.
func (o *secretOptions) file(name string) (string, error) {
	if err := policy.CheckSecretName(name); err != nil {
		return "", cli.UsageError(err)
	}
	if strings.Contains(name, "#") {
		return "", cli.UsageError(fmt.Errorf("%q names a field of a provider, not a file", name))
	}
	return filepath.Join(o.dir, policy.SecretsDir, filepath.FromSlash(name)+".age"), nil
}

// recipients reads who is to be able to open the secrets: secrets/recipients.txt, or the age recipients that .sops.yaml lists.
func (o *secretOptions) recipients() ([]age.Recipient, error) {
	data, err := os.ReadFile(filepath.Join(o.dir, secrets.RecipientsFile))
	if err == nil {
		return secrets.ParseRecipients(secrets.RecipientsFile, data)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	const sopsFile = ".sops.yaml"
	if data, err = os.ReadFile(filepath.Join(o.dir, sopsFile)); err == nil {
		return sopsRecipients(sopsFile, data)
	}
	return nil, fault.WithHint(fmt.Errorf("there is neither %s nor .sops.yaml, so nobody could open what is encrypted", secrets.RecipientsFile),
		"write a line for each recipient: `vigo secret recipient --data DATA` prints that of the controller, age-keygen -y yours")
}

// sopsRecipients takes the age recipients out of the creation rules of SOPS.
func sopsRecipients(file string, data []byte) ([]age.Recipient, error) {
	var conf struct {
		Rules []struct {
			Age string `yaml:"age"`
		} `yaml:"creation_rules"`
	}
	if err := yaml.Unmarshal(data, &conf); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var lines []string
	for _, rule := range conf.Rules {
		for r := range strings.SplitSeq(rule.Age, ",") {
			if r = strings.TrimSpace(r); r != "" && !slices.Contains(lines, r) {
				lines = append(lines, r)
			}
		}
	}
	return secrets.ParseRecipients(file, []byte(strings.Join(lines, "\n")))
}

// opener opens the secrets of the repository with what the person has.
func (o *secretOptions) opener(ctx context.Context, env *cli.Env) (*secrets.Opener, error) {
	refs := o.identities
	if len(refs) == 0 {
		refs = usualIdentities(env)
	}
	ids, err := readIdentities(ctx, env, refs)
	return &secrets.Opener{Identities: ids, Now: env.Now}, err
}

// usualIdentities are the places where identities are looked for when none is named.
func usualIdentities(env *cli.Env) []string {
	var refs []string
	for _, name := range []string{"VIGO_AGE_IDENTITY", "SOPS_AGE_KEY"} {
		if env.Getenv(name) != "" {
			refs = append(refs, "env:"+name)
		}
	}
	if file := env.Getenv("SOPS_AGE_KEY_FILE"); file != "" {
		refs = append(refs, "file:"+file)
	}
	conf := env.Getenv("XDG_CONFIG_HOME")
	if conf == "" {
		conf = filepath.Join(env.Getenv("HOME"), ".config")
	}
	for _, file := range []string{filepath.Join(conf, "vigo", "identity.txt"), filepath.Join(conf, "sops", "age", "keys.txt"), filepath.Join(env.Getenv("HOME"), ".ssh", "id_ed25519")} {
		if len(refs) > 0 {
			break
		}
		if _, err := os.Stat(file); err == nil {
			refs = append(refs, "file:"+file)
		}
	}
	return refs
}

// open returns the value of a secret of the repository as it is on disk.
func (o *secretOptions) open(ctx context.Context, env *cli.Env, name string) ([]byte, error) {
	fsys, err := cli.Folder(o.dir)
	if err != nil {
		return nil, err
	}
	rules, err := policy.ListSecrets(fsys)
	if err != nil {
		return nil, err
	}
	opener, err := o.opener(ctx, env)
	if err != nil {
		return nil, err
	}
	return opener.In(fsys, rules).Open(ctx, name)
}

// keep encrypts a value to all recipients and writes it.
func (o *secretOptions) keep(file string, value []byte) error {
	if len(value) > secrets.MaxValue/2 {
		return fmt.Errorf("the value has %d bytes, more than the %d that are allowed", len(value), secrets.MaxValue/2)
	}
	to, err := o.recipients()
	if err != nil {
		return err
	}
	data, err := secrets.Encrypt(value, to)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("keeping a secret: %w", err)
	}
	return atomicfile.Write(file, data, 0o644)
}

func newSecretSetCommand(env *cli.Env) *cobra.Command {
	var o secretOptions
	var raw bool
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Give a secret a value, from standard input or a prompt",
		Long: `Give a secret a value. It is read from standard input; at a terminal it is asked for, twice, and not shown. One line end at
its end is left out, unless --raw is given.`,
		Example: "  vigo secret set db/password\n  openssl rand -base64 24 | vigo secret set db/password\n  vigo secret show tls/key | vigo secret set tls/copy --raw",
		Args:    cli.Args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			file, err := o.file(args[0])
			if err != nil {
				return err
			}
			if _, err := o.recipients(); err != nil { // before anybody types anything
				return err
			}
			value, err := readValue(env, args[0], raw)
			if err != nil {
				return err
			}
			return o.keep(file, value)
		},
	}
	o.add(c, false)
	c.Flags().BoolVar(&raw, "raw", false, "keep the line end at the end")
	return c
}

// readValue reads a value without showing it.
func readValue(env *cli.Env, name string, raw bool) ([]byte, error) {
	if f, ok := env.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return askValue(env, int(f.Fd()), name)
	}
	value, err := io.ReadAll(io.LimitReader(env.Stdin, secrets.MaxValue))
	if err != nil {
		return nil, fmt.Errorf("reading the value: %w", err)
	}
	if !raw {
		value = []byte(strings.TrimSuffix(strings.TrimSuffix(string(value), "\n"), "\r"))
	}
	if len(value) == 0 {
		return nil, cli.UsageError(errors.New("standard input holds no value"))
	}
	return value, nil
}

func askValue(env *cli.Env, fd int, name string) ([]byte, error) {
	ask := func(prompt string) ([]byte, error) {
		fmt.Fprint(env.Stderr, prompt)
		defer fmt.Fprintln(env.Stderr)
		return term.ReadPassword(fd)
	}
	value, err := ask("Value of " + name + " (not shown): ")
	if err != nil {
		return nil, fmt.Errorf("reading the value: %w", err)
	}
	again, err := ask("Again: ")
	if err != nil {
		return nil, fmt.Errorf("reading the value: %w", err)
	}
	if string(again) != string(value) {
		return nil, errors.New("the two are not the same; nothing was changed")
	}
	if len(value) == 0 {
		return nil, errors.New("no value was given; nothing was changed")
	}
	return value, nil
}
