package main

import (
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/agentcmd"
	"vigo.dev/test/script"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"vigo": func() { os.Exit(run()) },
		"vigo-agent": func() {
			env := cli.System("vigo-agent", version)
			os.Exit(cli.Main(env, agentcmd.New(env), os.Args[1:]))
		},
	})
}

// The scripts are the manual of the command line, and its test.
func TestScripts(t *testing.T) {
	t.Parallel()
	script.Run(t, "testdata/script", *update)
}
