package agentcmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resource"
)

func tagsFlag(c *cobra.Command, tags *[]string) {
	c.Flags().StringSliceVar(tags, "tags", nil, "only resources with one of these tags, and what they require")
}

// only selects the resources that have one of the tags; nil, for all, without tags.
func only(tags []string) func(resource.Item) bool {
	if len(tags) == 0 {
		return nil
	}
	return func(it resource.Item) bool {
		return slices.ContainsFunc(it.Meta.Tags, func(tag string) bool { return slices.Contains(tags, tag) })
	}
}

// nothingTagged says that a narrowed run had nothing to do: the tag may be misspelt.
func nothingTagged(env *cli.Env, tags []string, run report.Run) {
	if len(tags) > 0 && run.Counts.Total() == 0 && run.Error == "" {
		env.Say("%s: warning: no resource of this node has a tag of %s", env.Name, strings.Join(tags, ", "))
	}
}
