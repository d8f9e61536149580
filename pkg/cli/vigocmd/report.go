package vigocmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/up"
)

func newReportCommand(env *cli.Env) *cobra.Command {
	var o serviceFlags
	var root string
	c := &cobra.Command{
		Use:   "report --data DIR --fleet NAME --registry HOST/REPOSITORY --trust-root FILE",
		Short: "Run the report service alone, for a controller and a registry elsewhere",
		Long: `Run the report service and the CA alone, for a controller and a registry elsewhere. It holds no keys that sign policy:
--trust-root is the root document that ` + "`vigo trust init`" + ` made on the machine of the controller, and nodes are told to pin it.
DATA/operator.json is how the other commands reach the service, DATA/controller.json how the controller does
(` + "`vigo controller --report FILE`" + `).`,
		Example: "  vigo report --data /var/lib/vigo --fleet acme --registry registry.example.com/vigo/acme --trust-root root.json --listen :8443",
		Args:    cli.Args(0, 0),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			conf, err := o.config(env)
			if err != nil {
				return err
			}
			asked, err := o.authority.open(c.Context(), env, &conf)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, asked()) }()
			if conf.TrustRoot, err = os.ReadFile(root); err != nil {
				return fmt.Errorf("reading the trust root: %w", err)
			}
			return runStack(c.Context(), env, conf, reportWelcome)
		},
	}
	o.add(c)
	c.Flags().StringVar(&root, "trust-root", "", "root document of the controller, which nodes pin")
	c.AddCommand(newReportCopyCommand(env), newReportBackupCommand(env), newReportRestoreCommand(env), newReportDoctorCommand(env))
	for _, name := range []string{"registry", "fleet", "trust-root"} {
		cobra.CheckErr(c.MarkFlagRequired(name))
	}
	return c
}

// controllerFile is how a controller elsewhere reaches the report service.
const controllerFile = "controller.json"

func reportWelcome(ctx context.Context, env *cli.Env, stack *up.Stack) error {
	mine, theirs := filepath.Join(stack.Data, operatorFile), filepath.Join(stack.Data, controllerFile)
	if err := keepCredential(ctx, stack, mine, "https://"+stack.Local(), api.Operator{Name: "admin", Role: identity.RoleAdmin}); err != nil {
		return err
	}
	if err := keepCredential(ctx, stack, theirs, "https://"+stack.Advertise, api.Operator{Name: "controller", Role: identity.RolePublisher}); err != nil {
		return err
	}
	mine, theirs = anywhere(mine), anywhere(theirs)
	_, err := fmt.Fprintf(env.Stdout, `the report service is up: fleet %s on https://%s
  vigo controller ... --report %s   # on its machine, with a copy of the file
  export VIGO_CONFIG=%s
  vigo token create                                              # then, on a node:
  vigo-agent enroll --server https://%s --token TOKEN
in a browser, with the token in %s: https://%s/ui/
`, stack.Fleet, stack.Advertise, theirs, mine, stack.Advertise, mine, stack.Advertise)
	return err
}
