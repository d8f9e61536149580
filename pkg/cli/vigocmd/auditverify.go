package vigocmd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/audit"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

func newAuditExportCommand(env *cli.Env) *cobra.Command {
	var conn connection
	var out string
	c := &cobra.Command{
		Use:   "export --out FILE",
		Short: "Write the whole log to a file that can be verified anywhere",
		Long: `Write the whole log, its checkpoints and the certificate of the authority that signs them to a file, which
` + "`vigo audit verify FILE`" + ` verifies without a service.`,
		Example: "  vigo audit export --out audit-2026-11.json",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := conn.open(env)
			if err != nil {
				return err
			}
			log, err := cli.Wait(env, asking, func() (audit.Log, error) { return client.WholeAudit(c.Context()) })
			if err != nil {
				return unreachable(err)
			}
			data, err := json.MarshalIndent(log, "", " ")
			if err != nil {
				return err
			}
			if err := atomicfile.Write(out, append(data, '\n'), 0o600); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "%s: %d entries\n", out, len(log.Entries))
			return err
		},
	}
	conn.flags(c)
	c.Flags().StringVar(&out, "out", "", "file to write; only its owner may read it")
	cobra.CheckErr(c.MarkFlagRequired("out"))
	return c
}

// auditVerdict is what is said of a log, with -o json.
type auditVerdict struct {
	Fleet    string            `json:"fleet"`
	Entries  int               `json:"entries"`
	First    int64             `json:"first,omitempty"`
	Head     *audit.Checkpoint `json:"head,omitempty"` // newest genuine checkpoint
	Problems []audit.Problem   `json:"problems"`
}

type auditVerifyOptions struct {
	conn        connection
	format      cli.Format
	checkpoints []string
	keep, ca    string
}

func newAuditVerifyCommand(env *cli.Env) *cobra.Command {
	var o auditVerifyOptions
	c := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Walk the chain and say which entry was altered, taken out, moved or cut off",
		Long: `Walk the hash chain of the audit log from its first entry to its last, and check the signed checkpoints. Without FILE the
log is read from the service; FILE is what ` + "`vigo audit export`" + ` wrote, and needs no service.

What was signed yesterday shows what was rewritten since: keep a checkpoint elsewhere (--keep), and compare with it
(--checkpoint). The service prints each one in its log, too. The same file may be given to both.

EXIT STATUS
  0  the log is whole
  1  it could not be read
  2  the service cannot be reached
  5  it was altered, or is not that of the fleet`,
		Example: `  vigo audit verify --checkpoint last.json --keep last.json
  vigo audit verify audit-2026-11.json --ca ca.crt`,
		Args: cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, env, args) },
	}
	o.conn.flags(c)
	f := c.Flags()
	f.StringArrayVar(&o.checkpoints, "checkpoint", nil, "file with a checkpoint that was kept; may be repeated; need not be there yet if --keep names it, too")
	f.StringVar(&o.keep, "keep", "", "file to write the newest checkpoint to, if the log is whole")
	f.StringVar(&o.ca, "ca", "", "certificate of the fleet's authority (default: the one that the operator configuration pins)")
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func (o auditVerifyOptions) run(c *cobra.Command, env *cli.Env, args []string) error {
	kept, err := o.kept(env)
	if err != nil {
		return err
	}
	log, fingerprint, err := o.read(c, env, args)
	if err != nil {
		return err
	}
	if got, err := identity.FingerprintPEM([]byte(log.CA)); err != nil || got != fingerprint {
		return fault.WithCode(fault.WithHint(fmt.Errorf("verifying the audit log: it is signed by another authority than the one that is known: %w",
			errors.Join(err, identity.ErrPin)), "--ca FILE names the certificate of the fleet's authority"), fault.NotVerified)
	}
	check := func(purpose string, data, seal []byte) error {
		return identity.CheckSeal([]byte(log.CA), purpose, data, seal)
	}
	v := auditVerdict{Fleet: log.Fleet, Entries: len(log.Entries), Problems: log.Verify(check, kept...)}
	if v.Problems == nil {
		v.Problems = []audit.Problem{}
	}
	if len(log.Entries) > 0 {
		v.First = log.Entries[0].Seq
	}
	if len(log.Checkpoints) > 0 && len(v.Problems) == 0 {
		head := slices.MaxFunc(log.Checkpoints, func(a, b audit.Checkpoint) int { return int(a.Seq - b.Seq) })
		v.Head = &head
	}
	if len(v.Problems) == 0 && o.keep != "" && v.Head != nil {
		data, err := json.Marshal(v.Head)
		if err != nil {
			return err
		}
		if err := atomicfile.Write(o.keep, append(data, '\n'), 0o644); err != nil {
			return err
		}
	}
	return o.say(env, v)
}

// read returns the log, and the fingerprint of the authority it must be signed by.
func (o auditVerifyOptions) read(c *cobra.Command, env *cli.Env, args []string) (log audit.Log, fingerprint string, err error) {
	if o.ca != "" {
		data, err := os.ReadFile(o.ca)
		if err != nil {
			return log, "", fmt.Errorf("reading the authority: %w", err)
		}
		if fingerprint, err = identity.FingerprintPEM(data); err != nil {
			return log, "", fmt.Errorf("%s: %w", o.ca, err)
		}
	}
	if len(args) == 1 {
		data, err := os.ReadFile(args[0])
		if err != nil {
			return log, "", fmt.Errorf("reading the audit log: %w", err)
		}
		if err := json.Unmarshal(data, &log); err != nil {
			return log, "", fmt.Errorf("reading the audit log %s: %w", args[0], err)
		}
		if fingerprint != "" {
			return log, fingerprint, nil
		}
	}
	client, err := o.conn.open(env)
	if err != nil {
		return log, "", err
	}
	if fingerprint == "" {
		fingerprint = client.Fingerprint()
	}
	if len(args) == 1 {
		return log, fingerprint, nil
	}
	log, err = cli.Wait(env, asking, func() (audit.Log, error) { return client.WholeAudit(c.Context()) })
	return log, fingerprint, unreachable(err)
}

// kept reads the checkpoints that were kept. The file that is to be written need not be there yet.
func (o auditVerifyOptions) kept(env *cli.Env) ([]audit.Checkpoint, error) {
	var kept []audit.Checkpoint
	for _, path := range o.checkpoints {
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) && path == o.keep {
			env.Say("%s is not there yet: nothing to compare with", path)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading a checkpoint: %w", err)
		}
		var c audit.Checkpoint
		if err := json.Unmarshal(data, &c); err != nil {
			return nil, fmt.Errorf("reading the checkpoint %s: %w", path, err)
		}
		kept = append(kept, c)
	}
	return kept, nil
}

func (o auditVerifyOptions) say(env *cli.Env, v auditVerdict) error {
	code := fault.OK
	if len(v.Problems) > 0 {
		code = fault.NotVerified
	}
	if done, err := env.Document(o.format, v); done {
		return errors.Join(err, cli.Quiet(code))
	}
	for _, p := range v.Problems {
		fmt.Fprintln(env.Stdout, env.Paint("red", p.String()))
	}
	if len(v.Problems) > 0 {
		fmt.Fprintf(env.Stdout, "the audit log of fleet %s is not whole: %d problems in %d entries\n", v.Fleet, len(v.Problems), v.Entries)
		return cli.Quiet(code)
	}
	text := fmt.Sprintf("the audit log of fleet %s is whole: %d entries", v.Fleet, v.Entries)
	if v.First > 1 {
		text += fmt.Sprintf(", from %d on; those before were forgotten on purpose", v.First)
	}
	if v.Head != nil {
		text += fmt.Sprintf("\ncheckpoint: entry %d, %s, signed %s", v.Head.Seq, v.Head.Hash, v.Head.Time.Local().Format("2006-01-02 15:04:05"))
	}
	_, err := fmt.Fprintln(env.Stdout, text)
	return err
}
