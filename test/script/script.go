// Package script runs the scripts that show the command lines as a user sees them: cmd/*/testdata/script. They run the
// real programs, read as the manual, and are all the tests that flags and messages have.
//
// It refuses to reach anything but loopback and the folder of a script, and to leave a process behind.
//
// Beside the commands of testscript there are:
//
//	exits CODE PROGRAM ARG...   run a program, which must end with exactly this status
//	key NAME                    make NAME.key and NAME.pub
//	cosign-key NAME PASSWORD    the same, encrypted as cosign does
//	up DATA REPOSITORY ARG...   start `vigo up` on a free port; sets SERVER, ADDRESS and VIGO_CONFIG; it is stopped at the end
//	hub DATA ARG...             start `vigo hub` on a free port unless --listen is given; sets HUB and HUB_ADDRESS
//	down DATA                   stop one of them, and wait until it has ended
//	forge DIR                   serve the files of a folder as the answers of a forge; sets FORGE; what is posted goes to DIR/posted
//	registry                    start a registry on a free port; sets REGISTRY and REGISTRY_TOKEN, which pushing needs
//	shows PROGRAM ARG... -- RE  start a program that does not end by itself, wait until its output matches, stop it
//	until CODE PROGRAM ARG...   run a program until it ends with this status
//	keyless [REPOSITORY TAG SUBJECT ISSUER]
//	                            sign what a tag leads to without a key, by a Sigstore instance that the script has for itself;
//	                            writes trusted_root.json
//	corrupt FILE                flip one bit in the middle of a file
//	workflow FILE NAME=VALUE... run the steps of a GitHub workflow; their summary goes to ../summary.md
package script

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"vigo.dev/pkg/signin/signintest"
	"vigo.dev/pkg/trust/trusttest"
)

// Run runs the scripts in a folder. With update, what `cmp` compares is rewritten in the script.
func Run(t *testing.T, dir string, update bool) {
	example, err := filepath.Abs("../../policies-example")
	if err != nil {
		t.Fatal(err)
	}
	cosign, err := filepath.Abs("../../pkg/trust/testdata/cosign")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 dir,
		UpdateScripts:       update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv("TZ", "UTC")
			e.Setenv("EXAMPLE", example)
			e.Setenv("COSIGN", cosign)
			author(e)
			e.Values[processes{}] = map[string]*process{}
			sigstore, err := trusttest.NewSigstore()
			if err != nil {
				return err
			}
			e.Values[sigstores{}] = sigstore
			e.Values[identityProvider{}] = new(*signintest.Issuer)
			return os.MkdirAll(home, 0o755)
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "quiet": quiet, "key": key, "cosign-key": cosignKey, "keyless": keyless, "up": up, "hub": hub, "down": down, "registry": startRegistry, "shows": shows, "until": until, "corrupt": corrupt, "workflow": workflow,
			"forge": startForge, "issuer": issuer, "browse": browse, "postgres": startPostgres, "pager": startPager,
		},
	})
}

// author makes git commit the same thing at the same time, whoever runs the script.
func author(e *testscript.Env) {
	for name, value := range map[string]string{
		"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null",
		"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@acme.example", "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@acme.example", "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
	} {
		e.Setenv(name, value)
	}
}

// processes is under what key an environment keeps what `up` started, by data folder.
type processes struct{}

func running(ts *testscript.TestScript) map[string]*process {
	return ts.Value(processes{}).(map[string]*process)
}
