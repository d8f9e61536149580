package script

import (
	"os/exec"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"gopkg.in/yaml.v3"
)

// workflow runs the steps of a GitHub workflow as a runner does, in the current folder, each in its own bash. Steps that
// use an action, and those that install what the script has already, are not run.
func workflow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: workflow FILE [NAME=VALUE...]")
	}
	var doc struct {
		Env  map[string]string
		Jobs map[string]struct {
			Steps []struct{ Name, Uses, Run string }
		}
	}
	ts.Check(yaml.Unmarshal([]byte(ts.ReadFile(args[0])), &doc))
	ran := 0
	for _, job := range doc.Jobs {
		for _, step := range job.Steps {
			if step.Run == "" || strings.Contains(step.Run, "go install") {
				continue
			}
			cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run)
			cmd.Dir = ts.MkAbs(".")
			for _, v := range []string{"HOME", "PATH", "TZ"} {
				cmd.Env = append(cmd.Env, v+"="+ts.Getenv(v))
			}
			cmd.Env = append(cmd.Env, "RUNNER_TEMP="+ts.MkAbs("../runner"), "GITHUB_STEP_SUMMARY="+ts.MkAbs("../summary.md"))
			cmd.Env = append(cmd.Env, args[1:]...)
			out, err := cmd.CombinedOutput()
			ts.Logf("step %q:\n%s", step.Name, out)
			if err != nil {
				ts.Fatalf("step %q: %v", step.Name, err)
			}
			ran++
		}
	}
	if ran == 0 {
		ts.Fatalf("%s has no step that runs anything", args[0])
	}
}
