package vigocmd

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/up/backup"
)

// backupFlags say of which service a backup is.
type backupFlags struct {
	data, store string
	force       bool
	format      cli.Format
}

func (o *backupFlags) add(c *cobra.Command, force string) {
	c.Flags().StringVar(&o.data, "data", "", "data folder of the service")
	c.Flags().StringVar(&o.store, "store", "", "address of the PostgreSQL database, when the service has one (default: the file in the data folder)")
	c.Flags().BoolVar(&o.force, "force", false, force)
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML)
	cobra.CheckErr(errors.Join(c.MarkFlagRequired("data"), c.MarkFlagDirname("data")))
}

func (o *backupFlags) options(env *cli.Env) (backup.Options, error) {
	return backup.Options{Data: o.data, Store: o.store, Version: env.Version, Now: env.Now}, checkStore(o.store)
}

func newReportBackupCommand(env *cli.Env) *cobra.Command {
	var o backupFlags
	c := &cobra.Command{
		Use:   "backup --data DIR FILE",
		Short: "Write a backup of a service into a file, while it runs",
		Long: `Write all that a service keeps into one file, as it is in one moment, while the service runs or not: the store, be it a
file or a PostgreSQL database, and from the data folder the authority and the credentials. The file appears whole or not at
all, and ` + "`vigo report restore --verify`" + ` reads it back. Keep it as you keep the data folder: who has it can be the service.

The keys that sign policy are not in it: they belong into a safe of their own.`,
		Example: `  vigo report backup --data /var/lib/vigo /backup/vigo-$(date +%F).tar.zst
  vigo report restore --verify /backup/vigo-2026-11-28.tar.zst`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			options, err := o.options(env)
			if err != nil {
				return err
			}
			m, err := cli.Wait(env, "taking the backup", func() (backup.Manifest, error) { return backup.Create(c.Context(), options, args[0], o.force) })
			if err != nil {
				return err
			}
			if done, err := env.Document(o.format, m); done || err != nil {
				return err
			}
			return printBackup(env, "wrote "+args[0], m)
		},
	}
	o.add(c, "replace FILE when it exists")
	return c
}

// printBackup says in a few lines what a backup holds.
func printBackup(env *cli.Env, did string, m backup.Manifest) error {
	_, err := fmt.Fprintf(env.Stdout, "%s: fleet %s as of %s, %d nodes, %d runs, schema %d, %d files\n",
		did, orDash(m.Fleet), m.Taken.Format("2006-01-02 15:04:05Z"), m.Store.Rows["node"], m.Store.Rows["run"], m.Store.Schema, len(m.Files))
	return err
}
