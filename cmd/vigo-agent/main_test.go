package main

import (
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/vigocmd"
	"vigo.dev/test/script"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"vigo-agent": func() { os.Exit(run()) },
		"vigo": func() {
			env := cli.System("vigo", version)
			os.Exit(cli.Main(env, vigocmd.New(env), os.Args[1:]))
		},
	})
}

// The scripts are the manual of the command line, and its test.
func TestScripts(t *testing.T) {
	t.Parallel()
	script.Run(t, "testdata/script", *update)
}
