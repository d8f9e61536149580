package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/machine"
	"vigo.dev/pkg/ocistore"
)

// dockerCerts is where docker looks for the certificates of registries.
const dockerCerts = "/etc/docker/certs.d"

// access is what the flags say of where the credentials and certificates for registries are.
type access struct{ config, certs string }

// AccessFlags adds the flags that say where the credentials and certificates for registries are to a root command: both
// programs have them, for all their commands.
func (e *Env) AccessFlags(root *cobra.Command) {
	f := &e.access
	flags := root.PersistentFlags()
	flags.StringVar(&f.config, "registry-config", "", "credentials for registries, as a config.json of docker (default $VIGO_REGISTRY_CONFIG, that of docker)")
	flags.StringVar(&f.certs, "registry-certs", "", "certificates for registries, in folders HOST:PORT (default $VIGO_REGISTRY_CERTS, "+dockerCerts+")")
	cobra.CheckErr(root.MarkPersistentFlagFilename("registry-config", "json"))
	cobra.CheckErr(root.MarkPersistentFlagDirname("registry-certs"))
}

// Access returns where they are: what a flag says, then the environment, then what docker uses if there is such a thing.
func (e *Env) Access() ocistore.Access {
	a := ocistore.Access{Config: e.access.config, Certs: e.access.certs, Run: e.runProgram}
	if a.Config == "" {
		a.Config = e.Getenv("VIGO_REGISTRY_CONFIG")
	}
	if a.Config == "" {
		a.Config = e.dockerConfig()
	}
	if a.Certs == "" {
		a.Certs = e.Getenv("VIGO_REGISTRY_CERTS")
	}
	if a.Certs == "" {
		a.Certs = dockerCerts
	}
	return a
}

// dockerConfig returns the config.json of docker; empty if there is none, or none that may be read.
func (e *Env) dockerConfig() string {
	dir := e.Getenv("DOCKER_CONFIG")
	if home := e.Getenv("HOME"); dir == "" && home != "" {
		dir = filepath.Join(home, ".docker")
	}
	if dir == "" {
		return ""
	}
	path := filepath.Join(dir, "config.json")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return ""
	}
	return path
}

// runProgram starts a program of this machine: a credential helper.
func (e *Env) runProgram(ctx context.Context, c host.Command) (host.Result, error) {
	m, err := machine.New(machine.Options{Now: e.Now})
	if err != nil {
		return host.Result{}, err
	}
	res, err := m.Host().Run.Run(ctx, c)
	return res, errors.Join(err, m.Close())
}
