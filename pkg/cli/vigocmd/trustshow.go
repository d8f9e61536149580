package vigocmd

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/ceremony"
	"vigo.dev/pkg/cli"
)

// rootDocument is a root document as JSON for programs.
type rootDocument struct {
	Path string `json:"path"`
	ceremony.State
}

// fileWord makes the name of a role fit for the name of a file: channel/* is channel-all.
func fileWord(role string) string {
	return strings.NewReplacer("/", "-", "*", "all").Replace(role)
}

func newTrustShowCommand(env *cli.Env) *cobra.Command {
	var after string
	var format cli.Format
	c := &cobra.Command{
		Use:   "show ROOT",
		Short: "Show the roles and keys of a root document, and of a proposal who has signed it",
		Long: `Show the roles and keys of a root document. Of a proposal, root-N.json with root-(N-1).json beside it, also what it changes,
who has signed it, and how many signatures are missing.`,
		Example: "  vigo trust show /var/lib/vigo/keys/root.json\n  vigo trust show root-2.json -o json",
		Args:    cli.Args(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			root, err := ceremony.ReadRoot(args[0])
			if err != nil {
				return err
			}
			name := fmt.Sprintf("root-%d.json", root.Version)
			if after == "" && (filepath.Base(args[0]) != name || root.Version == 1) {
				return showRoot(env, format, args[0], ceremony.StateOf(root))
			}
			p, err := ceremony.Load(args[0], after)
			if err != nil {
				return err
			}
			return showProposal(env, format, p)
		},
	}
	c.Flags().StringVar(&after, "after", "", "root document in force (default: root-(N-1).json beside the proposal)")
	cli.FormatFlag(c, &format, cli.Table, cli.JSON, cli.YAML)
	return c
}

func showProposal(env *cli.Env, format cli.Format, p *ceremony.Proposal) error {
	state, err := p.State()
	if err != nil {
		return err
	}
	return showRoot(env, format, p.Path(), state)
}

// showRoot prints a root document, and of a proposal what it changes and what it lacks.
func showRoot(env *cli.Env, format cli.Format, path string, s ceremony.State) error {
	if done, err := env.Document(format, rootDocument{path, s}); done {
		return err
	}
	fmt.Fprintf(env.Stdout, "root version %d\n", s.Version)
	var rows [][]string
	for _, role := range s.Roles {
		needs := fmt.Sprintf("%d of %d", role.Threshold, len(role.Keys))
		for i, id := range role.Keys {
			at := slices.IndexFunc(s.Keys, func(k ceremony.Key) bool { return k.ID == id })
			row := []string{role.Name, needs, ceremony.Short(id), ceremony.Window(s.Keys[at].NotBefore, s.Keys[at].NotAfter)}
			if who := s.Keys[at].Identity; who != nil {
				row[3] += ", " + who.String()
			}
			if i > 0 {
				row[0], row[1] = "", ""
			}
			rows = append(rows, row)
		}
	}
	if err := env.Columns([]string{"ROLE", "NEEDS", "KEY", "GOOD"}, rows); err != nil {
		return err
	}
	if len(s.Sides) == 0 {
		return nil
	}
	fmt.Fprintln(env.Stdout, "\nproposed:")
	for _, change := range s.Changes {
		fmt.Fprintln(env.Stdout, "  "+change)
	}
	fmt.Fprintln(env.Stdout)
	for _, side := range s.Sides {
		fmt.Fprintf(env.Stdout, "root keys of %d: signed by %s; %s\n", side.Version, shorts(side.Signed, "nobody"), missing(side))
	}
	return nil
}

func missing(s ceremony.Side) string {
	if s.Missing == 0 {
		return "that is enough"
	}
	return fmt.Sprintf("%d more needed of %s", s.Missing, shorts(s.Open, "nobody"))
}

func shorts(ids []string, none string) string {
	if len(ids) == 0 {
		return none
	}
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = ceremony.Short(id)
	}
	return strings.Join(words, " ")
}
