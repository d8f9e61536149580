package vigocmd

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/up/backup"
)

func newReportRestoreCommand(env *cli.Env) *cobra.Command {
	var o backupFlags
	var verify bool
	c := &cobra.Command{
		Use:   "restore --data DIR FILE",
		Short: "Put a backup of a service back, while it is stopped",
		Long: `Put a backup into a data folder and its store: verified first, then all of it or nothing. With --store the store goes into a
PostgreSQL database, also when the backup is of a file, and the other way round. What is there is replaced only with --force; a
file is kept under another name. With --verify the backup is only read, and --data is not needed.

The service knows what it knew when the backup was made. So it refuses what nodes signed before the restore, all enrolment
tokens and all logins; and when the store that is replaced can still be read, who was retired or removed since. Make new tokens;
nodes that have enrolled since have to enrol again.

EXIT STATUS
  0  restored, or whole    1  it could not be done    5  the file is not a whole backup`,
		Example: `  vigo report restore --verify /backup/vigo-2026-11-28.tar.zst
  vigo report restore --data /var/lib/vigo --force /backup/vigo-2026-11-28.tar.zst`,
		Args: cli.Args(1, 1),
		RunE: func(c *cobra.Command, args []string) error {
			options, err := o.options(env)
			if err != nil {
				return err
			}
			if verify {
				m, err := cli.Wait(env, "reading the backup", func() (backup.Manifest, error) { return backup.Verify(c.Context(), args[0]) })
				if err != nil {
					return err
				}
				if done, err := env.Document(o.format, m); done || err != nil {
					return err
				}
				return printBackup(env, "whole", m)
			}
			if o.data == "" {
				return fault.WithCode(fault.WithHint(fmt.Errorf("--data is not given"), "it is the data folder of the service; with --verify it is not needed"), fault.Usage)
			}
			out, err := cli.Wait(env, "restoring", func() (backup.Outcome, error) { return backup.Restore(c.Context(), options, args[0], o.force) })
			if err != nil {
				return err
			}
			if done, err := env.Document(o.format, out); done || err != nil {
				return err
			}
			return printRestored(env, out)
		},
	}
	o.add(c, "replace the store that is there")
	delete(c.Flag("data").Annotations, cobra.BashCompOneRequiredFlag)
	c.Flags().BoolVar(&verify, "verify", false, "only read the backup, and say what is in it")
	return c
}

// printRestored says what was done, and what people have to do now.
func printRestored(env *cli.Env, out backup.Outcome) error {
	if err := printBackup(env, "restored", out.Manifest); err != nil {
		return err
	}
	say := func(do bool, format string, args ...any) {
		if do {
			fmt.Fprintf(env.Stdout, format+"\n", args...)
		}
	}
	t := out.Taken
	say(out.Kept != "", "the store that was there is %s; remove it when you do not need it", out.Kept)
	say(t.Tokens > 0, "%d enrolment tokens are revoked; `vigo token create` makes new ones", t.Tokens)
	say(t.Logins > 0, "%d logins have ended; people log in again", t.Logins)
	say(len(t.Operators) > 0, "not let in, because the store that was there does not have them: %s", strings.Join(t.Operators, ", "))
	say(len(t.Retired) > 0, "retired since the backup: %s", strings.Join(t.Retired, ", "))
	say(out.Unread != "", "the store that was there cannot be read (%s)", out.Unread)
	say(out.Kept == "" || out.Unread != "", "retire again the nodes and remove the operators of whom you know that they left since: `vigo nodes`, `vigo operator list`")
	say(true, "nodes that have enrolled since the backup have to enrol again, with --force")
	return nil
}
