// Command vigo is the operator's side of Vigo: the command line, and the controller and report service it starts.
package main

import (
	"os"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/vigocmd"
)

// version is set when a release is built: -ldflags "-X main.version=1.2.3".
var version = "0.1.0-dev"

func main() { os.Exit(run()) }

func run() int {
	env := cli.System("vigo", version)
	return cli.Main(env, vigocmd.New(env), os.Args[1:])
}
