package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vigo.dev/pkg/fault"
)

// groupMark is the annotation of a command that only holds others, so that its usage shows no line for itself.
const groupMark = "vigo.dev/group"

// Prepare makes a tree of commands treat what people type alike: a word that is no command, a flag that is misspelt and
// a required flag that is missing are errors of usage with a hint, at every depth. [Main] calls it; so does what writes
// the reference of a tree.
func Prepare(env *Env, root *cobra.Command) {
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Version = env.Version
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}",
		`{{if and .Runnable (not (index .Annotations "`+groupMark+`"))}}`, 1))
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	root.InitDefaultVersionFlag()
	if f := root.Flags().Lookup("version"); f != nil {
		f.Usage = "print the version"
	}
	prepare(root)
}

func prepare(c *cobra.Command) {
	c.InitDefaultHelpFlag()
	if f := c.Flags().Lookup("help"); f != nil {
		f.Usage = "show this help"
	}
	if c.HasSubCommands() && !c.Runnable() {
		c.Annotations = map[string]string{groupMark: "yes"}
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(c, args[0])
			}
			return c.Help()
		}
	}
	check := c.Args
	if check == nil {
		check = cobra.ArbitraryArgs
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := missingFlags(c); err != nil {
			return err
		}
		return check(c, args)
	}
	for _, sub := range c.Commands() {
		prepare(sub)
	}
}

func unknownCommand(c *cobra.Command, word string) error {
	var names []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			names = append(append(names, sub.Name()), sub.Aliases...)
		}
	}
	hint := elsewhere(c.Root(), word)
	if hint == "" {
		hint = fault.DidYouMean(word, names)
	}
	return UsageError(fault.WithHint(fmt.Errorf("%s has no command %q", c.CommandPath(), word), orSeeHelp(c, hint)))
}

// elsewhere is where a command is that is not where it was looked for.
func elsewhere(root *cobra.Command, word string) string {
	if root.Name() == "vigo" {
		switch word {
		case "apply", "enroll", "pin", "retry", "run", "unit", "unpin":
			return "that is done on nodes: vigo-agent " + word
		}
	}
	var found []string
	for _, group := range root.Commands() {
		for _, sub := range group.Commands() {
			if sub.Name() == word && !sub.Hidden && group.Name() != "completion" {
				found = append(found, sub.CommandPath())
			}
		}
	}
	if len(found) != 1 { // list is in many
		return ""
	}
	return "did you mean " + found[0] + "?"
}

// missingFlags finds required flags that were not given.
func missingFlags(c *cobra.Command) error {
	var missing []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if slices.Equal(f.Annotations[cobra.BashCompOneRequiredFlag], []string{"true"}) && !f.Changed {
			missing = append(missing, "--"+f.Name)
		}
	})
	if len(missing) == 0 {
		return nil
	}
	verb := "is"
	if len(missing) > 1 {
		verb = "are"
	}
	return UsageError(fault.WithHint(fmt.Errorf("%s %s missing: %s", strings.Join(missing, " and "), verb, c.UseLine()), orSeeHelp(c, "")))
}

// flagError says what is wrong with a flag in the words of this program, and which one was meant.
func flagError(c *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	var value *pflag.InvalidValueError
	hint := ""
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			err = fmt.Errorf("%s has no flag -%s", c.CommandPath(), name)
			break
		}
		err, hint = fmt.Errorf("%s has no flag --%s", c.CommandPath(), name), nearFlag(c, name)
	case errors.As(err, &value):
		hint = strings.Join(fault.Hints(value), "; ")
		err = fmt.Errorf("--%s %q: %w", value.GetFlag().Name, value.GetValue(), errors.Unwrap(value))
		if hint != "" {
			return UsageError(err) // carries its hint
		}
	}
	return UsageError(fault.WithHint(err, orSeeHelp(c, hint)))
}

func nearFlag(c *cobra.Command, name string) string {
	var names []string
	add := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	c.Flags().VisitAll(add)
	c.InheritedFlags().VisitAll(add)
	if near := fault.Near(name, names); near != "" {
		return "did you mean --" + near + "?"
	}
	return ""
}

func orSeeHelp(c *cobra.Command, hint string) string {
	if hint != "" {
		return hint
	}
	return "see `" + c.CommandPath() + " --help`"
}

// helpCommand replaces cobra's, which takes a word that is no command for success.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND...]",
		Short: "Show the help of a command",
		ValidArgsFunction: func(c *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
			at, _, err := c.Root().Find(args)
			if err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var names []string
			for _, sub := range at.Commands() {
				if sub.IsAvailableCommand() && strings.HasPrefix(sub.Name(), start) {
					names = append(names, sub.Name())
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			at := c.Root()
			for _, word := range args {
				next := at
				for _, sub := range at.Commands() {
					if sub.Name() == word || sub.HasAlias(word) {
						next = sub
					}
				}
				if next == at {
					return unknownCommand(at, word)
				}
				at = next
			}
			return at.Help()
		},
	}
}

// Args checks the number of positional arguments with a message that shows the usage line.
func Args(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return UsageError(fault.WithHint(fmt.Errorf("an argument is missing: %s", c.UseLine()), orSeeHelp(c, "")))
		case len(args) > most:
			return UsageError(fault.WithHint(fmt.Errorf("unexpected argument %q: %s", args[most], c.UseLine()), orSeeHelp(c, "")))
		}
		return nil
	}
}
