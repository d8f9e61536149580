package vigocmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/up"
)

// registryFlags are the flags of a program with a registry of its own. Sizes are in MiB.
type registryFlags struct {
	pull       string
	quota, max int64
}

// The values of --registry-pull.
const (
	pullFleet  = "fleet"
	pullAnyone = "anyone"
)

func (o *registryFlags) add(c *cobra.Command, pull, about string) {
	f := c.Flags()
	f.StringVar(&o.pull, "registry-pull", pull, about)
	f.Int64Var(&o.quota, "registry-quota", registry.DefaultQuota>>20, "room on disk for bundles, in MiB; 0: as much as there is")
	cobra.CheckErr(c.RegisterFlagCompletionFunc("registry-pull", cobra.FixedCompletions([]string{pullFleet, pullAnyone}, cobra.ShellCompDirectiveNoFileComp)))
}

// addUploads adds the flag for a registry that somebody pushes to.
func (o *registryFlags) addUploads(c *cobra.Command) {
	c.Flags().Int64Var(&o.max, "registry-max-upload", bundle.MaxLayer>>20, "size of one blob that is pushed, in MiB")
}

// insteadOf refuses flags of the embedded registry when there is another one in its place.
func (o *registryFlags) insteadOf(c *cobra.Command, other string) error {
	for _, name := range []string{"registry-pull", "registry-quota", "registry-max-upload"} {
		if other != "" && c.Flags().Changed(name) {
			return cli.UsageError(fmt.Errorf("--%s is of the embedded registry; %s has rules of its own", name, other))
		}
	}
	return nil
}

// config is what the flags say of the embedded registry.
func (o *registryFlags) config() (up.RegistryConfig, error) {
	switch {
	case o.pull != pullFleet && o.pull != pullAnyone:
		return up.RegistryConfig{}, cli.UsageError(fmt.Errorf("--registry-pull is %q, not fleet or anyone", o.pull))
	case o.quota < 0 || o.quota > 1<<30:
		return up.RegistryConfig{}, cli.UsageError(fmt.Errorf("--registry-quota is %d MiB; it must be between 0 and %d", o.quota, 1<<30))
	case o.max < 0 || o.max > bundle.MaxLayer>>20:
		return up.RegistryConfig{}, cli.UsageError(fmt.Errorf("--registry-max-upload is %d MiB; it must be between 0 (the default) and %d", o.max, bundle.MaxLayer>>20))
	}
	return up.RegistryConfig{Anyone: o.pull == pullAnyone, Quota: o.quota << 20, MaxUpload: o.max << 20}, nil
}
