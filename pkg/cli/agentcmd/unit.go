package agentcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
)

// unitFile runs the agent as root, since it manages the whole host; what it does not need for that is taken away.
const unitFile = `[Unit]
Description=Vigo agent: keeps this host in its declared state
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
# VIGO_REGISTRY_CONFIG, VIGO_REGISTRY_CERTS, HTTPS_PROXY, NO_PROXY
EnvironmentFile=-/etc/default/vigo-agent
ExecStart=%s run
Restart=always
RestartSec=5
# The agent must be able to finish a package transaction before it is stopped.
TimeoutStopSec=90
KillMode=mixed
OOMScoreAdjust=-500
StateDirectory=vigo-agent
StateDirectoryMode=0700
LockPersonality=yes

[Install]
WantedBy=multi-user.target
`

func newUnitCommand(g *globals) *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:     "unit",
		Short:   "Print the systemd unit of the agent",
		Example: "  vigo-agent unit > /etc/systemd/system/vigo-agent.service && systemctl enable --now vigo-agent",
		Args:    cli.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(g.env.Stdout, unitFile, path)
			return err
		},
	}
	c.Flags().StringVar(&path, "binary", "/usr/bin/vigo-agent", "where the agent is installed")
	return c
}
