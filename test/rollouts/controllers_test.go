package rollouts

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vigo.dev/pkg/rollout"
	"vigo.dev/test/programs"
)

// TestTwoControllers: somebody starts a copy of the controller beside it, with the same keys. No node goes back or takes two
// contents for one; people are told; and with one of them stopped all is as before.
func TestTwoControllers(t *testing.T) {
	t.Parallel()
	a := newApart(t, short(), 4)
	if out, err := exec.Command("cp", "-a", filepath.Join(a.dir, "controller"), filepath.Join(a.dir, "twin")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	twin := a.control("twin")
	a.commit("two", "")
	a.await("people are told of two controllers", func() string {
		cmd := programs.Command(t, a.env(), "vigo", "status")
		out, _ := cmd.Output() // its code says that there are problems
		events, _ := programs.Command(t, a.env(), "vigo", "events", "--limit", "100").Output()
		if text := string(out) + string(events); !strings.Contains(text, "two controllers publish this channel") {
			return text
		}
		return ""
	})
	a.await("every node has it", func() string { return a.missing("two") })
	twin.End(syscall.SIGKILL)
	first := a.awaitPhase(rollout.Completed, "")
	a.commit("three", "")
	a.awaitPhase(rollout.Completed, first.ID)
	a.await("every node has the next", func() string { return a.missing("three") })
}
