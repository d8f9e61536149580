package hub

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"vigo.dev/test/programs"
	"vigo.dev/test/self"
)

func TestMain(m *testing.M) { self.Main(m) }

// patience bounds what is waited for.
const patience = 2 * time.Minute

// A place is where programs run: a network namespace, or, when it is nil, where the test runs.
type place struct{ netns *os.File }

// start runs a program there until the test ends, or its End is called.
func (at *place) start(t *testing.T, cmd *exec.Cmd) *programs.Process {
	t.Helper()
	return programs.StartIn(t, cmd, at.do)
}

// try runs a program to its end.
func (at *place) try(cmd *exec.Cmd) (stdout string, err error) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = at.do(cmd.Start); err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, errs.String())
	}
	return strings.TrimSpace(out.String()), err
}

// run runs a program to its end, which must be good.
func (at *place) run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := at.try(cmd)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args[1:], " "), err, out)
	}
	return out
}
