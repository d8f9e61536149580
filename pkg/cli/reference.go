package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Reference returns the manual of a tree of commands as Markdown: by file name, a page with the list of commands, and one
// for each command with those below it. The tree must have been through [Prepare].
func Reference(root *cobra.Command) map[string]string {
	pages := map[string]string{root.Name() + ".md": overview(root)}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			var b strings.Builder
			section(&b, c, 1)
			pages[pageOf(c)] = b.String()
		}
	}
	return pages
}

func pageOf(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") + ".md" }

// overview lists the commands by group, as the help does.
func overview(root *cobra.Command) string {
	var b strings.Builder
	text, codes := prose(root)
	fmt.Fprintf(&b, "# %s\n\n%s\n%s", root.Name(), text, codes)
	groups := append(root.Groups(), &cobra.Group{Title: "Commands:"})
	for _, g := range groups {
		var rows strings.Builder
		for _, c := range root.Commands() {
			if c.IsAvailableCommand() && c.GroupID == g.ID {
				fmt.Fprintf(&rows, "| [%s](%s) | %s |\n", c.CommandPath(), pageOf(c), cell(c.Short))
			}
		}
		if rows.Len() > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n| command | |\n|---|---|\n%s", strings.TrimSuffix(g.Title, ":"), rows.String())
		}
	}
	flags(&b, "Flags of every command", root.PersistentFlags(), 2)
	return b.String()
}

// section describes a command, and those below it one level deeper.
func section(b *strings.Builder, c *cobra.Command, level int) {
	mark := strings.Repeat("#", level)
	text, codes := prose(c)
	fmt.Fprintf(b, "%s %s\n\n%s\n", mark, c.CommandPath(), text)
	if c.Runnable() && c.Annotations[groupMark] == "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", c.UseLine())
	}
	b.WriteString(codes)
	if c.Example != "" {
		fmt.Fprintf(b, "\n%s# Examples\n\n```sh\n%s\n```\n", mark, unindent(c.Example))
	}
	flags(b, "Flags", c.NonInheritedFlags(), level+1)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			b.WriteString("\n")
			section(b, sub, level+1)
		}
	}
}

// prose is the long text of a command, and its table of exit statuses, which keeps its columns.
func prose(c *cobra.Command) (text, statuses string) {
	text, codes, found := strings.Cut(c.Long, "EXIT STATUS\n")
	text = strings.TrimSpace(text)
	if text == "" {
		text = c.Short + "."
	}
	if found {
		statuses = "\n**Exit status** ([all](../../exit-codes.md))\n\n```\n" + unindent(codes) + "\n```\n"
	}
	return text, statuses
}

func flags(b *strings.Builder, title string, set *pflag.FlagSet, level int) {
	var rows strings.Builder
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		kind, usage := pflag.UnquoteUsage(f)
		if f.Value.Type() != "bool" && f.DefValue != "" && f.DefValue != "[]" && f.DefValue != "0s" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&rows, "| %s | %s | %s |\n", name, kind, cell(usage))
	})
	if rows.Len() > 0 {
		fmt.Fprintf(b, "\n%s %s\n\n| flag | | |\n|---|---|---|\n%s", strings.Repeat("#", level), title, rows.String())
	}
}

// cell makes text fit into a table.
func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "\n", " ") }

// unindent takes the indentation of help texts away.
func unindent(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
