// Package agentcmd is the command line of vigo-agent.
//
// It refuses to decide anything: it reads flags, puts an agent together, and shows what it did.
package agentcmd

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/adoptcmd"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/traits"
)

// DefaultState is where an agent keeps its state.
const DefaultState = "/var/lib/vigo-agent"

// globals are the flags that every command has.
type globals struct {
	env   *cli.Env
	root  string
	state string
	level slog.LevelVar
	debug bool
}

// New returns the root command.
func New(env *cli.Env) *cobra.Command {
	g := &globals{env: env}
	root := &cobra.Command{
		Use:   "vigo-agent",
		Short: "Keep this host in the state its fleet's signed policy declares",
		Long: `Keep this host in the state its fleet's signed policy declares.

EXIT STATUS
  0    the host conforms, or was brought into line
  1    the command could not do its work
  2    a dry run found drift
  3    some resources failed; the rest was converged
  5    a bundle, pointer or signature was refused
  64   the command line cannot be understood
  130  interrupted`,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if g.debug {
				g.level.Set(slog.LevelDebug)
			}
			return g.checkRoot()
		},
	}
	flags := root.PersistentFlags()
	flags.StringVar(&g.root, "root", "/", "folder that holds the host's file system")
	flags.StringVar(&g.state, "state", "", "state directory (default "+DefaultState+" below --root)")
	flags.BoolVar(&g.debug, "debug", false, "log more")
	env.AccessFlags(root)
	cobra.CheckErr(root.MarkPersistentFlagDirname("root"))
	cobra.CheckErr(root.MarkPersistentFlagDirname("state"))
	root.AddCommand(adoptcmd.New(env, &g.root, nil), newApplyCommand(g), newEnrollCommand(g), newMoveCommand(g), newPinCommand(g), newRetryCommand(g), newRunCommand(g), newStatusCommand(g), newTraitsCommand(g), newUnitCommand(g), newUnpinCommand(g), cli.NewVersionCommand(env))
	return root
}

// checkRoot refuses a root folder that is not there, before a state directory would make it.
func (g *globals) checkRoot() error {
	info, err := os.Stat(g.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("opening the root folder: there is no folder %s", g.root)
	case err != nil:
		return fmt.Errorf("opening the root folder: %w", err)
	case !info.IsDir():
		return fmt.Errorf("opening the root folder: %s is a file", g.root)
	}
	return nil
}

// stateDir returns the state directory, which lies below the root folder unless it was given.
func (g *globals) stateDir() string {
	if g.state != "" {
		return g.state
	}
	return filepath.Join(g.root, DefaultState)
}

// ownState opens the state of the agent for a command that changes it, which nobody else may do until unlock is called.
func (g *globals) ownState() (state agent.State, unlock func(), err error) {
	if state, err = agent.OpenState(g.stateDir()); err != nil {
		return state, nil, err
	}
	if unlock, err = state.Lock(); err != nil {
		return state, nil, fault.WithHint(err, "stop the agent first: systemctl stop vigo-agent")
	}
	return state, unlock, nil
}

func (g *globals) log() *slog.Logger {
	return slog.New(slog.NewTextHandler(g.env.Stderr, &slog.HandlerOptions{Level: &g.level}))
}

// language is the policy language this agent understands.
func (g *globals) language() catalog.Language {
	schema := expr.NewSchema()
	traits.Schema(schema)
	self := resources.UsualAgent()
	if filepath.IsAbs(g.state) {
		self.State = filepath.Clean(g.state)
	}
	return catalog.Language{Kinds: resources.Registry(), Schema: schema, Guardrails: resources.Guardrails(self)}
}
