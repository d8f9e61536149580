// Package self lets a test binary be vigo and vigo-agent, so that a test of processes builds nothing. It refuses to run what a
// test has not asked for by name.
package self

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/agentcmd"
	"vigo.dev/pkg/cli/vigocmd"
)

// variable names the program that a test binary is.
const variable = "VIGO_TEST_PROGRAM"

// Main is what TestMain calls: it runs the tests, or is the program that a test has started, and does not return.
func Main(m *testing.M) {
	switch name := os.Getenv(variable); name {
	case "vigo":
		env := cli.System(name, "test")
		os.Exit(cli.Main(env, vigocmd.New(env), os.Args[1:]))
	case "vigo-agent":
		env := cli.System(name, "test")
		os.Exit(cli.Main(env, agentcmd.New(env), os.Args[1:]))
	default:
		os.Exit(m.Run())
	}
}

// Command is one of the programs: the one in the folder VIGO_BIN, or this test binary.
func Command(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("VIGO_BIN"); dir != "" {
		path = filepath.Join(dir, name)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), variable+"="+name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}
