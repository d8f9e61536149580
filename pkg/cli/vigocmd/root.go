// Package vigocmd is the command line of vigo: for those who write policy, and for those who watch a fleet.
//
// It refuses to decide anything: it reads flags, calls what does the work, and shows the result.
package vigocmd

import (
	"github.com/spf13/cobra"

	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/adoptcmd"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

// New returns the root command.
func New(env *cli.Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "vigo",
		Short: "Write, publish and watch the desired state of a fleet",
		Long: `Write, publish and watch the desired state of a fleet.

EXIT STATUS
  0    it worked; for status: the fleet is well
  1    the command could not do its work; for status: there are problems
  2    a dry run found drift; for status: the service cannot be reached
  3    some resources failed
  4    a gate refused
  5    a signature, pointer or bundle was refused
  64   the command line cannot be understood
  130  interrupted`,
	}
	env.AccessFlags(root)
	policies := &cobra.Group{ID: "policy", Title: "Policy repositories:"}
	fleet := &cobra.Group{ID: "fleet", Title: "The fleet:"}
	services := &cobra.Group{ID: "service", Title: "Services:"}
	root.AddGroup(policies, fleet, services)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("policy", newInitCommand(env), adoptcmd.New(env, nil, func() ([]byte, error) { return schemaOf("") }), newLintCommand(env), newTestCommand(env), newFmtCommand(env), newPlanCommand(env), newBuildCommand(env), newVerifyCommand(env), newApproveCommitCommand(env), newExplainCommand(env), newSchemaCommand(env), newSecretCommand(env))
	add("fleet", newStatusCommand(env), newNodesCommand(env), newNodeCommand(env), newEventsCommand(env), newHistoryCommand(env), newTraitsCommand(env), newInventoryCommand(env), newControlsCommand(env), newRolloutCommand(env), newModeCommand(env), newRebootCommand(env), newAlertCommand(env), newTokenCommand(env), newOperatorCommand(env), newAuditCommand(env))
	add("fleet", newPromoteCommand(env), newApproveCommand(env), newLoginCommand(env), newLogoutCommand(env), newWhoamiCommand(env))
	add("service", newUpCommand(env), newControllerCommand(env), newPruneCommand(env), newExportCommand(env), newImportCommand(env), newReportCommand(env), newHubCommand(env), newTrustCommand(env), newBenchCommand(env))
	root.AddCommand(cli.NewVersionCommand(env))
	return root
}

func language() catalog.Language {
	schema := expr.NewSchema()
	traits.Schema(schema)
	return catalog.Language{Kinds: resources.Registry(), Schema: schema, Guardrails: resources.Guardrails(resources.UsualAgent())}
}
