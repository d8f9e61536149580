package vigocmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/report"
)

// asking is what the commands wait for.
const asking = "asking the report service"

// connection is how a command finds the report service: flags, then the file that `vigo up` writes.
type connection struct {
	config    string
	server    string
	cert, key string // of a client certificate, in place of the token
}

// operatorConfig is the file an operator's commands read.
type operatorConfig struct {
	Server string `json:"server"`          // URL of the report service
	Token  string `json:"token,omitempty"` // operator token; it also pins the fleet's authority
	// Certificate and Key are files of a client certificate, in place of a token; from where this file is.
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	// Authority is the fingerprint that pins it while there is no token, and Login whether `vigo login` made the token.
	Authority string `json:"authority,omitempty"`
	Login     bool   `json:"login,omitempty"`
}

func (c *connection) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.config, "config", "", "operator configuration (default $VIGO_CONFIG, ~/.config/vigo/operator.json, then "+systemConfig+")")
	cmd.Flags().StringVar(&c.server, "server", "", "URL of the report service, instead of that in the configuration")
	cmd.Flags().StringVar(&c.cert, "cert", "", "client certificate to show, instead of what is in the configuration (default $VIGO_CERT)")
	cmd.Flags().StringVar(&c.key, "key", "", "its private key (default $VIGO_KEY)")
	cobra.CheckErr(errors.Join(cmd.MarkFlagFilename("cert"), cmd.MarkFlagFilename("key")))
}

func (c *connection) open(env *cli.Env) (*api.OperatorClient, error) {
	shown, err := c.certificate(env)
	if err != nil {
		return nil, err
	}
	conf, err := readOperatorConfig(c.existing(env))
	if shown != nil {
		return shown.client(env, cmp.Or(c.server, conf.Server))
	}
	if errors.Is(err, errNoConfig) {
		err = fault.WithCode(fault.WithHint(err, "`vigo up` writes DATA/operator.json: export VIGO_CONFIG=DATA/operator.json"), fault.Drift)
	}
	if err != nil {
		return nil, err
	}
	if conf.Token == "" {
		return nil, fault.WithHint(fmt.Errorf("reading the operator configuration %s: nobody is logged in", c.path(env)), "`vigo login`")
	}
	if c.server != "" {
		conf.Server = c.server
	}
	return api.NewOperatorClient(conf.Server, conf.Token, env.Now)
}

// address is the URL of the report service that is asked.
func (c *connection) address(env *cli.Env) (string, error) {
	if c.server != "" {
		return c.server, nil
	}
	conf, err := readOperatorConfig(c.existing(env))
	return conf.Server, err
}

// errNoConfig says that an operator configuration is not there.
var errNoConfig = errors.New("it is not there")

// readOperatorConfig reads how to reach a service. [errNoConfig].
func readOperatorConfig(path string) (operatorConfig, error) {
	var conf operatorConfig
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return conf, fmt.Errorf("reading the operator configuration %s: %w", path, errNoConfig)
	}
	if err != nil {
		return conf, fmt.Errorf("reading the operator configuration: %w", err)
	}
	if err := json.Unmarshal(data, &conf); err != nil {
		return conf, fmt.Errorf("reading the operator configuration %s: %w", path, err)
	}
	return conf, nil
}

// systemConfig is where the usual `vigo up` leaves the configuration of its first operator. On that machine it does for those
// who may read it and have none of their own.
const systemConfig = "/var/lib/vigo/operator.json"

// existing is the file that is read: that of [connection.path], unless it is not there and was not asked for.
func (c *connection) existing(env *cli.Env) string {
	own := c.path(env)
	if c.config != "" || env.Getenv("VIGO_CONFIG") != "" {
		return own
	}
	if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
		return own
	}
	if _, err := os.Stat(systemConfig); err == nil {
		return systemConfig
	}
	return own
}

// path is the file that is written.
func (c *connection) path(env *cli.Env) string {
	if c.config != "" {
		return c.config
	}
	if path := env.Getenv("VIGO_CONFIG"); path != "" {
		return path
	}
	dir := env.Getenv("XDG_CONFIG_HOME")
	if dir == "" {
		dir = filepath.Join(env.Getenv("HOME"), ".config")
	}
	return filepath.Join(dir, "vigo", "operator.json")
}

// completeNodes offers the names of nodes to the shell; when the service cannot be asked it offers nothing.
func (c *connection) completeNodes(env *cli.Env) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, start string) ([]string, cobra.ShellCompDirective) {
		client, err := c.open(env)
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
		defer cancel()
		list, err := client.Nodes(ctx, report.Query{Name: start + "*"})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names := make([]string, len(list))
		for i, n := range list {
			names[i] = n.Name
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// writeOperatorConfig keeps how to reach the service, for the commands of an operator on this machine.
func writeOperatorConfig(path string, conf operatorConfig) error {
	data, err := json.MarshalIndent(conf, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(path, append(data, '\n'), 0o600)
}

// unreachable gives "the service cannot be reached" its own exit code.
func unreachable(err error) error {
	if errors.Is(err, api.ErrUnreachable) {
		return fault.WithCode(err, fault.Drift)
	}
	return err
}
