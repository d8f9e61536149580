package vigocmd

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/forge"
	"vigo.dev/pkg/gitsource"
)

// forgeFlags say where a repository is hosted.
type forgeFlags struct {
	kind, url, tokenFile string
}

func (o *forgeFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.kind, "forge", "", "where the repository is hosted: github, gitlab or gitea (also Forgejo); it is asked for approvals and told what became of commits")
	f.StringVar(&o.url, "forge-url", "", "address of the repository at the forge (default: that of --git)")
	f.StringVar(&o.tokenFile, "forge-token-file", "", "file with an access token of the forge (default: $VIGO_FORGE_TOKEN)")
	cobra.CheckErr(c.MarkFlagFilename("forge-token-file"))
	cobra.CheckErr(c.RegisterFlagCompletionFunc("forge", cobra.FixedCompletions(forge.Kinds(), cobra.ShellCompDirectiveNoFileComp)))
}

// elsewhere opens other repositories at the same forge; there is none for those that are somewhere else.
func elsewhere(first controller.Forge) func(string) (controller.Forge, error) {
	client, ok := first.(*forge.Client)
	if !ok {
		return nil
	}
	return func(repository string) (controller.Forge, error) {
		url, err := gitsource.PublicURL(repository)
		if err != nil || url == "" {
			return nil, err
		}
		another, err := client.Another(url)
		if err != nil || another == nil {
			return nil, err
		}
		return another, nil
	}
}

// open makes the client, or none.
func (o *forgeFlags) open(env *cli.Env, git string) (controller.Forge, error) {
	if o.kind == "" {
		if o.url != "" || o.tokenFile != "" {
			return nil, cli.UsageError(errors.New("--forge is missing: is it " + strings.Join(forge.Kinds(), ", ") + "?"))
		}
		return nil, nil
	}
	token := env.Getenv("VIGO_FORGE_TOKEN")
	var err error
	if o.tokenFile != "" {
		if token, err = secretFile("the token of the forge", o.tokenFile); err != nil {
			return nil, err
		}
	}
	url := o.url
	if url == "" {
		if url, err = gitsource.PublicURL(git); err != nil {
			return nil, err
		}
		if url == "" {
			return nil, fault.WithHint(errors.New("--git is a repository on this machine, which no forge hosts"), "say where it is hosted with --forge-url")
		}
	}
	// An interface that holds nil is not nil: hence the two returns.
	client, err := forge.Open(forge.Options{Kind: o.kind, URL: url, Token: token, Now: env.Now})
	if err != nil {
		return nil, err
	}
	return client, nil
}
