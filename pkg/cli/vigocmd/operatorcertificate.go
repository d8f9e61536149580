package vigocmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

func newOperatorCertificateCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{Use: "certificate", Short: "Client certificates of operators, in place of tokens"}
	c.AddCommand(newCertificateCreateCommand(env), newCertificateRenewCommand(env),
		newAccessListCommand(env, accessWords{"certificates", "certificate"}, isCertificate),
		newAccessRevokeCommand(env, accessWords{"certificates", "certificate"}, "Make a certificate of an operator useless at once, on open connections too"))
	return c
}

func isCertificate(t api.AccessToken) bool { return t.Kind == api.KindCertificate }

// certificateOptions say what certificate is wanted.
type certificateOptions struct {
	conn           connection
	role, csr, out string
	days           int
	note           string
}

func newCertificateCreateCommand(env *cli.Env) *cobra.Command {
	var o certificateOptions
	c := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a client certificate of an operator, and write the configuration to use it",
		Long: `Make a client certificate of an operator, and write the configuration with which commands (--config) use it. Without NAME it
is one's own; an admin makes them for others, and with --role for somebody who is no operator yet, who then has no token.

For --out jane.json the files are jane.json, jane.crt, and jane.key, which is made here and never sent. With --csr the key is
elsewhere: jane.key is then what the configuration expects beside it, unless --key of a command says where it is. The service
decides name and role; what a request says of itself beyond its name is refused.`,
		Example: `  vigo operator certificate create jane --role operator --out jane.json
  openssl req -new -newkey ed25519 -nodes -keyout jane.key -subj /CN=jane -out jane.csr
  vigo operator certificate create jane --role viewer --days 30 --csr jane.csr --out jane.json`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return o.create(c.Context(), env, strings.Join(args, ""))
		},
	}
	o.conn.flags(c)
	f := c.Flags()
	f.StringVar(&o.role, "role", "", "viewer, operator, admin or publisher (default: that of the operator; never more)")
	f.IntVar(&o.days, "days", int(identity.OperatorLife/day), "how many days it can be used, at most 90")
	f.StringVar(&o.csr, "csr", "", "certificate request (PEM) of a key that is elsewhere: Ed25519, or ECDSA on P-256 or P-384")
	f.StringVar(&o.note, "note", "", "what it is for")
	f.StringVar(&o.out, "out", "", "configuration to write, such as jane.json; certificate and key are beside it")
	cobra.CheckErr(errors.Join(c.MarkFlagRequired("out"), c.MarkFlagFilename("csr")))
	return c
}

const day = 24 * time.Hour

func (o *certificateOptions) create(ctx context.Context, env *cli.Env, name string) error {
	files, err := o.files()
	if err != nil {
		return err
	}
	client, err := o.conn.open(env)
	if err != nil {
		return err
	}
	server, err := o.conn.address(env)
	if err != nil {
		return err
	}
	if name == "" {
		me, err := client.Whoami(ctx)
		if err != nil {
			return unreachable(err)
		}
		name = me.Name
	}
	var key identity.NodeKey
	csr, err := o.request(name, &key)
	if err != nil {
		return err
	}
	answer, err := client.IssueCertificate(ctx, api.CertificateRequest{CSR: string(csr), Operator: name, Role: identity.Role(o.role), Life: time.Duration(o.days) * day, Note: o.note})
	if err != nil {
		return unreachable(err)
	}
	if o.csr == "" {
		pem, err := key.PEM()
		if err == nil {
			err = atomicfile.Write(files.key, pem, 0o600)
		}
		if err != nil {
			return fmt.Errorf("keeping the key: %w", err)
		}
	}
	if err := atomicfile.Write(files.certificate, []byte(answer.Certificate), 0o644); err != nil {
		return fmt.Errorf("keeping the certificate: %w", err)
	}
	conf := operatorConfig{Server: server, Authority: client.Fingerprint(), Certificate: filepath.Base(files.certificate), Key: filepath.Base(files.key)}
	if err := writeOperatorConfig(o.out, conf); err != nil {
		return err
	}
	return saidCertificate(env, answer)
}

func saidCertificate(env *cli.Env, a api.CertificateAnswer) error {
	_, err := fmt.Fprintf(env.Stdout, "certificate %s of %s: %s, until %s\n", a.ID, a.Operator, a.Role, until(a.Expires))
	return err
}

// certificateFiles are beside a configuration.
type certificateFiles struct{ certificate, key string }

// files are those to write. A key that is there is not written over: a certificate may be in use with it.
func (o *certificateOptions) files() (certificateFiles, error) {
	stem := strings.TrimSuffix(o.out, filepath.Ext(o.out))
	f := certificateFiles{stem + ".crt", stem + ".key"}
	if f.certificate == o.out || f.key == o.out {
		return f, cli.UsageError(fmt.Errorf("--out %s is the configuration, which names certificate and key: call it %s.json", o.out, stem))
	}
	if o.csr != "" {
		return f, nil
	}
	switch _, err := os.Lstat(f.key); {
	case err == nil:
		return f, fault.WithHint(fmt.Errorf("making a key: %s is there", f.key), "another --out, or `vigo operator certificate renew` for a new certificate of the same key")
	case !errors.Is(err, fs.ErrNotExist):
		return f, fmt.Errorf("making a key: %w", err)
	}
	return f, nil
}

// request is the one that was given, or that of a new key.
func (o *certificateOptions) request(name string, key *identity.NodeKey) (csr []byte, err error) {
	if o.csr != "" {
		if csr, err = os.ReadFile(o.csr); err != nil {
			return nil, fmt.Errorf("reading the certificate request: %w", err)
		}
		if _, err := identity.ParseOperatorRequest(bytes.TrimSpace(csr)); err != nil {
			return nil, fmt.Errorf("reading the certificate request %s: %w", o.csr, err)
		}
		return csr, nil
	}
	if *key, err = identity.NewNodeKey(); err != nil {
		return nil, err
	}
	return key.CSR(name)
}

func newCertificateRenewCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var csrPath string
	c := &cobra.Command{
		Use:   "renew",
		Short: "Get a new certificate for the same key, for as long as the one before",
		Long: `Get a new certificate for the same key, for as long as the one before, and write it in its place. It must not have run out;
name, role and ID stay. With --csr the request was made elsewhere, for a key that this command shows and cannot export.`,
		Example: "  vigo operator certificate renew --config jane.json",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			shown, err := conn.certificate(env)
			if err != nil {
				return err
			}
			if shown == nil {
				return fault.WithHint(errors.New("renewing a certificate: none is in use"), "`vigo operator certificate create` makes one")
			}
			csr, err := shown.request(csrPath)
			if err != nil {
				return err
			}
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			answer, err := client.RenewCertificate(c.Context(), string(csr))
			if err != nil {
				return unreachable(err)
			}
			if err := atomicfile.Write(shown.certPath, []byte(answer.Certificate), 0o644); err != nil {
				return fmt.Errorf("keeping the certificate: %w", err)
			}
			return saidCertificate(env, answer)
		},
	}
	conn.flags(c)
	c.Flags().StringVar(&csrPath, "csr", "", "certificate request (PEM) for the same key (default: one is made with the key)")
	return c
}

// request makes one for the key of a certificate, or reads the one that was made elsewhere.
func (s *shownCertificate) request(path string) ([]byte, error) {
	if path != "" {
		csr, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate request: %w", err)
		}
		return csr, nil
	}
	return identity.RequestFor(s.cert, s.cert.Leaf.Subject.CommonName)
}
