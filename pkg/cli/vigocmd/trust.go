package vigocmd

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/trust"
	"vigo.dev/pkg/up"
)

func newTrustCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{Use: "trust", Short: "Make and show the keys that a fleet trusts"}
	c.AddCommand(newTrustInitCommand(env), newTrustShowCommand(env))
	return c
}

func newTrustInitCommand(env *cli.Env) *cobra.Command {
	var data string
	c := &cobra.Command{
		Use:   "init --data DIR",
		Short: "Make the signing keys of a controller, and print the path of its root document",
		Long: `Make the signing keys of a controller in DATA/keys, unless they are there, and print the path of the root document, which says
what nodes trust. Only the controller needs the keys. The report service is given the root document
(` + "`vigo report --trust-root FILE`" + `), which holds no secret.`,
		Example: "  vigo trust init --data /var/lib/vigo",
		Args:    cli.Args(0, 0),
		RunE: func(*cobra.Command, []string) (err error) {
			lock, err := up.LockData(data)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, lock.Release()) }()
			if _, err := up.Keys(data, env.Now); err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.Stdout, filepath.Join(data, "keys", "root.json"))
			return err
		},
	}
	c.Flags().StringVar(&data, "data", "", "data folder of the controller")
	cobra.CheckErr(c.MarkFlagRequired("data"))
	return c
}

func newTrustShowCommand(env *cli.Env) *cobra.Command {
	c := &cobra.Command{
		Use: "show ROOT", Short: "Show the roles and keys of a root document", Args: cli.Args(1, 1),
		Example: "  vigo trust show /var/lib/vigo/keys/root.json",
		RunE: func(_ *cobra.Command, args []string) error {
			data, err := os.ReadFile(args[0])
			if err != nil {
				return fmt.Errorf("reading the root document: %w", err)
			}
			root, err := trust.ParseRoot(data)
			if err != nil {
				return err
			}
			var rows [][]string
			for _, name := range slices.Sorted(maps.Keys(root.Roles)) {
				role := root.Roles[name]
				rows = append(rows, []string{name, fmt.Sprintf("%d of %d", role.Threshold, len(role.Keys)), strings.Join(role.Keys, " ")})
			}
			fmt.Fprintf(env.Stdout, "root version %d\n", root.Version)
			return env.Columns([]string{"ROLE", "NEEDS", "KEYS"}, rows)
		},
	}
	return c
}
