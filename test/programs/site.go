package programs

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/pkg/report"
)

// A Site is a policy that is applied to this machine without a server. What it touches is in a folder of the test.
type Site struct {
	t      testing.TB
	Dir    string // what the policy manages; $D in declarations
	Policy string // folder of the policy
	State  string // of the agent
}

// NewSite makes a site with a module of these resources.
func NewSite(t testing.TB, resources string) *Site {
	t.Helper()
	s := &Site{t: t, Dir: t.TempDir(), Policy: t.TempDir(), State: filepath.Join(t.TempDir(), "state")}
	s.Write("fleet.yaml", "kind: Fleet\nname: lab\n")
	s.Write("roles/all.yaml", "kind: Role\nmodules: [site]\n")
	s.Declare(resources)
	return s
}

// Declare replaces the resources of the module.
func (s *Site) Declare(resources string) {
	s.t.Helper()
	s.Write("modules/site/module.yaml", "kind: Module\nresources:\n"+resources)
}

// Write puts a file in the policy.
func (s *Site) Write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.Policy, name)
	text = strings.ReplaceAll(text, "$D", s.Dir)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		s.t.Fatal(err)
	}
}

// Command is an agent that applies the policy, with more arguments.
func (s *Site) Command(args ...string) *exec.Cmd {
	s.t.Helper()
	return Command(s.t, nil, "vigo-agent", append([]string{"apply", "--policy", s.Policy, "--state", s.State, "-o", "json"}, args...)...)
}

// Apply applies the policy to its end; some resources may fail.
func (s *Site) Apply(args ...string) report.Run {
	s.t.Helper()
	cmd := s.Command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, runErr := cmd.Output() // how it ended is in the run
	var run report.Run
	if err := json.Unmarshal(out, &run); err != nil {
		s.t.Fatalf("%v, %v: %s%s", runErr, err, out, &stderr)
	}
	return run
}

// Refused is what an agent or another program says that does not do as it is told, and how it ended.
func Refused(t testing.TB, cmd *exec.Cmd) (said string, code int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err == nil || !errors.As(err, &exit) {
		t.Fatalf("%s did not refuse: %v\n%s", cmd, err, out)
	}
	return string(out), exit.ExitCode()
}

// Read is the content of a file of the site.
func (s *Site) Read(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.Dir, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

// Put writes a file of the site, as somebody does by hand.
func (s *Site) Put(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.Dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
		s.t.Fatal(err)
	}
}
