// Package adoptcmd is the command adopt, which both programs have: the agent is on the machine that is to be adopted, and
// vigo can look at the root folder of one.
//
// It refuses to decide what is adopted: package adopt does.
package adoptcmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/adopt"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/policyfmt"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/starter"
)

// Options are the flags of the command.
type Options struct {
	root     string
	node     string
	prefix   string
	exclude  []string
	selected map[string]*[]string
	maxFile  int64
	dryRun   bool
	force    bool
	format   cli.Format
}

// New returns the command. root is the flag of the program that names the folder of the machine's files; with nil the command
// has one of its own. schema makes the JSON Schema for editors; without it a new repository has none.
func New(env *cli.Env, root *string, schema func() ([]byte, error)) *cobra.Command {
	o := &Options{selected: map[string]*[]string{}}
	if root == nil {
		root = &o.root
	}
	c := &cobra.Command{
		Use:   "adopt [DIR]",
		Short: "Write a policy of what this machine is now",
		Long: `Write a policy of what this machine is now, for which there is nothing to change: modules, and a role for this node alone.
Each resource is compared with the machine before it is written; what would be changed is left out, and so is what looks
like a secret. What was left out is listed, and kept in DIR/adopted.

Without a selection these are adopted: packages that were chosen, files in /etc and /usr/local that no package brought,
configuration that differs from what its package brought, users and groups that no package made, keys to log in with,
units that are switched otherwise than their packages do or belong to chosen packages, jobs, kernel parameters, mounts,
names of hosts, sources of packages, host name and time zone. With a selection only what matches one of its patterns is.
In patterns * stands for any text without a slash, ** for any text.

DIR becomes a policy repository if it is not there or empty; otherwise it must be one, and gets the modules and the role.
Nothing that is there is overwritten without --force. The machine is only read.

EXIT STATUS
  0  it is written    1  it cannot be, or a file is in the way`,
		Example: "  NAME adopt policy\n  NAME adopt --dry-run\n  NAME adopt --dry-run --user alice -o policy\n  NAME adopt policy --package 'nginx*' --file '/etc/nginx/**' --service nginx",
		Args:    cli.Args(0, 1),
		RunE: func(c *cobra.Command, args []string) error {
			return run(c.Context(), env, o, *root, args, schema)
		},
	}
	c.Example = strings.ReplaceAll(c.Example, "NAME", env.Name)
	f := c.Flags()
	if root == &o.root {
		f.StringVar(&o.root, "root", "/", "folder that holds the machine's file system")
		cobra.CheckErr(c.MarkFlagDirname("root"))
	}
	for _, typ := range adopt.Types() {
		o.selected[typ] = f.StringArray(strings.ReplaceAll(typ, "_", "-"), nil, usageOf(typ))
	}
	f.StringArrayVar(&o.exclude, "exclude", nil, "pattern of paths or of TYPE:NAME to leave alone; may be repeated")
	f.StringVar(&o.node, "node", "", "name of this node (default: its host name)")
	f.StringVar(&o.prefix, "prefix", "", "what the names of modules begin with, where a repository has several machines")
	f.Int64Var(&o.maxFile, "max-file", adopt.MaxFile, "most bytes of one file")
	f.BoolVar(&o.dryRun, "dry-run", false, "write nothing; show what would be adopted")
	f.BoolVar(&o.force, "force", false, "overwrite files that are there")
	cli.FormatFlag(c, &o.format, cli.Table, cli.JSON, cli.YAML, asPolicy)
	return c
}

// asPolicy is the output format that shows the modules as they would be written.
const asPolicy cli.Format = "policy"

// printPolicy shows the modules one after the other, to be copied into others.
func printPolicy(env *cli.Env, o *Options, result adopt.Result) error {
	files, err := result.Files(policyfmt.New(resources.Registry()), o.naming())
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, "/module.yaml") {
			continue
		}
		if _, err := fmt.Fprintf(env.Stdout, "---\n# %s\n%s", name, files[name]); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) naming() adopt.Naming {
	role := starter.Name(strings.ReplaceAll(o.node, ".", "-"))
	if role == "" {
		role = "adopted"
	}
	return adopt.Naming{Node: o.node, Role: role, Prefix: o.prefix}
}

// maxPrefix leaves room for the names of modules.
const maxPrefix = 20

func usageOf(typ string) string {
	what := map[string]string{"authorized_key": "keys of users", "sysctl": "kernel parameters", "host_entry": "names in /etc/hosts", "cron": "jobs: files in /etc/cron.d, users", "repository": "sources of packages", "alternatives": "names that several programs may stand behind"}[typ]
	if what == "" {
		what = strings.ReplaceAll(strings.TrimSuffix(typ, "y"), "_", " ") + map[bool]string{true: "ies", false: "s"}[strings.HasSuffix(typ, "y")]
	}
	return "pattern of " + what + "; may be repeated"
}

func run(ctx context.Context, env *cli.Env, o *Options, root string, args []string, schema func() ([]byte, error)) error {
	if len(args) == 0 && !o.dryRun {
		return cli.UsageError(fault.WithHint(errors.New("no folder is named"), "name the folder to write to, or give --dry-run"))
	}
	if o.prefix != "" && o.prefix != starter.Name(o.prefix) || len(o.prefix) > maxPrefix {
		return cli.UsageError(fmt.Errorf("--prefix: %q: want lower-case letters, digits, - and _, at most %d of them", o.prefix, maxPrefix))
	}
	m, err := machine.New(machine.Options{Root: root, Log: slog.New(slog.DiscardHandler), Now: env.Now})
	if err != nil {
		return err
	}
	defer m.Close()
	h := m.Host()
	if o.node == "" {
		if o.node, err = cli.NodeName(ctx, h); err != nil {
			return err
		}
	}
	options := adopt.Options{Kinds: resources.Registry(), Select: o.selection(), Exclude: o.exclude, MaxFile: o.maxFile}
	result, err := cli.Wait(env, "looking at "+root, func() (adopt.Result, error) { return adopt.Look(ctx, h, options) })
	if err != nil {
		return err
	}
	if len(result.Resources) == 0 {
		env.Say("%s: nothing to adopt was found", env.Name)
	}
	if !o.dryRun {
		if err := write(o, result, args[0], schema); err != nil {
			return err
		}
	}
	if o.format == asPolicy {
		return printPolicy(env, o, result)
	}
	if done, err := env.Document(o.format, result); done || err != nil {
		return err
	}
	return show(env, result)
}

func (o *Options) selection() map[string][]string {
	all := map[string][]string{}
	for typ, patterns := range o.selected {
		if len(*patterns) > 0 {
			all[typ] = *patterns
		}
	}
	return all
}

// write puts the result into a repository, which it makes if there is none.
func write(o *Options, result adopt.Result, dir string, schema func() ([]byte, error)) error {
	files, err := result.Files(policyfmt.New(resources.Registry()), o.naming())
	if err != nil {
		return err
	}
	empty, err := starter.Empty(dir)
	if err != nil {
		return err
	}
	if empty {
		full, err := filepath.Abs(dir)
		if err != nil {
			return err
		}
		name := starter.Name(filepath.Base(full))
		if name == "" {
			name = "fleet"
		}
		frame, err := newRepository(name, schema)
		if err != nil {
			return err
		}
		for file, data := range frame {
			files[file] = data
		}
	} else if err := starter.Check(dir); err != nil {
		return err
	}
	_, err = starter.Write(dir, files, o.force)
	return err
}

func newRepository(name string, schema func() ([]byte, error)) (map[string][]byte, error) {
	data := []byte(nil)
	if schema != nil {
		var err error
		if data, err = schema(); err != nil {
			return nil, err
		}
	}
	return starter.Files(starter.Options{Fleet: name, Forges: starter.Forges(), Schema: data, Bare: true})
}

// show lists what was adopted, and then what was not.
func show(env *cli.Env, result adopt.Result) error {
	rows := make([][]string, len(result.Resources))
	for i, r := range result.Resources {
		rows[i] = []string{r.Module, r.Type, r.Identity}
	}
	if err := env.Columns([]string{"MODULE", "TYPE", "NAME"}, rows); err != nil {
		return err
	}
	for _, l := range result.LeftOut {
		env.Say("left out %s %s: %s", l.Type, l.Name, l.Why)
	}
	_, err := fmt.Fprintf(env.Stdout, "%d resources; %d left out\n", len(rows), len(result.LeftOut))
	return err
}
