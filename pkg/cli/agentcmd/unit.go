package agentcmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
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
	var path, init string
	c := &cobra.Command{
		Use:   "unit",
		Short: "Print what starts the agent: a systemd unit, or a script of another init system",
		Long: "Print what starts the agent at boot and keeps it running: the unit of systemd, or a script for the init system given by\n" +
			"--init. The trait os.init names the one that a machine has.",
		Example: "  vigo-agent unit > /etc/systemd/system/vigo-agent.service && systemctl enable --now vigo-agent\n" +
			"  vigo-agent unit --init openrc > /etc/init.d/vigo-agent && chmod 755 /etc/init.d/vigo-agent && rc-update add vigo-agent && rc-service vigo-agent start\n" +
			"  vigo-agent unit --init sysv > /etc/init.d/vigo-agent && chmod 755 /etc/init.d/vigo-agent && update-rc.d vigo-agent defaults && service vigo-agent start\n" +
			"  mkdir -p /etc/sv/vigo-agent && vigo-agent unit --init runit > /etc/sv/vigo-agent/run && chmod 755 /etc/sv/vigo-agent/run && ln -s /etc/sv/vigo-agent /etc/service/",
		Args: cli.Args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			text, err := startText(host.Init(init))
			if err == nil {
				_, err = fmt.Fprintf(g.env.Stdout, text, path)
			}
			return err
		},
	}
	c.Flags().StringVar(&path, "binary", "/usr/bin/vigo-agent", "where the agent is installed")
	c.Flags().StringVar(&init, "init", string(host.Systemd), "the init system: systemd, openrc, runit or sysv")
	return c
}

// startText is what starts the agent with an init system; %s is where the agent is installed.
func startText(init host.Init) (string, error) {
	switch init {
	case host.Systemd:
		return unitFile, nil
	case host.OpenRC:
		return openRCScript, nil
	case host.Runit:
		return runitScript, nil
	case host.SysV:
		return sysVScript, nil
	}
	return "", cli.UsageError(fault.WithHint(fmt.Errorf("--init: %q is no init system that is known", init), "want systemd, openrc, runit or sysv"))
}
