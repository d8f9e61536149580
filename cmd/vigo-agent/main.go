// Command vigo-agent keeps one host in the state its fleet's signed policy declares.
package main

import (
	"os"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/agentcmd"
)

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version = "0.1.0-dev"

func main() { os.Exit(run()) }

func run() int {
	env := cli.System("vigo-agent", version)
	return cli.Main(env, agentcmd.New(env), os.Args[1:])
}
