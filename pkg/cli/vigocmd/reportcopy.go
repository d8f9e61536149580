package vigocmd

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/up"
)

func newReportCopyCommand(env *cli.Env) *cobra.Command {
	var data, store string
	c := &cobra.Command{
		Use:   "copy --data DIR --store ADDRESS",
		Short: "Copy the store of a stopped service to a PostgreSQL database",
		Long: `Copy all that a service knows of its nodes from the file in its data folder to an empty PostgreSQL database, everything or
nothing. Stop the service first; start it again with the same --store. The file stays as it is.`,
		Example: `  createdb vigo
  vigo report copy --data /var/lib/vigo --store postgres://vigo@db.example.com/vigo
  vigo up --data /var/lib/vigo --store postgres://vigo@db.example.com/vigo --git https://git.example.com/policy.git`,
		Args: cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkStore(store); err != nil {
				return err
			}
			return up.CopyStore(c.Context(), data, store, func(table string, rows int64) {
				fmt.Fprintf(env.Stdout, "%-18s %d rows\n", table, rows)
			})
		},
	}
	c.Flags().StringVar(&data, "data", "", "data folder of the service")
	c.Flags().StringVar(&store, "store", "", "address of the PostgreSQL database")
	cobra.CheckErr(errors.Join(c.MarkFlagRequired("data"), c.MarkFlagRequired("store"), c.MarkFlagDirname("data")))
	return c
}

// checkStore refuses a password in an address: everybody on the machine can read the command line.
func checkStore(address string) error {
	u, err := url.Parse(address)
	given := strings.Contains(address, "password=")
	if err == nil && u.User != nil {
		_, has := u.User.Password()
		given = given || has
	}
	if given {
		return fault.WithHint(errors.New("--store holds a password, which everybody on this machine can read"),
			"put it into a file that PGPASSFILE names, or into PGPASSWORD")
	}
	return nil
}
