package replicas

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"vigo.dev/test/programs"
)

// leadsNow is what a service says when it begins to lead.
const leadsNow = "this service leads those on the database"

// TestStoppedLeader: a leader that does not run any more, with its connections open, as those of a machine that is gone without
// a word are for the database, loses the lead after 15 seconds; when it goes on, it follows.
func TestStoppedLeader(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.replicas[0].Says(t, leadsNow, programs.Patience)
	began := time.Now()
	must(t, s.replicas[0].Cmd.Process.Signal(syscall.SIGSTOP))
	s.replicas[1].Says(t, leadsNow, programs.Patience)
	t.Logf("another service leads after %s", time.Since(began).Round(time.Second))
	must(t, s.replicas[0].Cmd.Process.Signal(syscall.SIGCONT))
	s.replicas[1].End(syscall.SIGKILL)
	programs.Await(t, "the first to lead again", programs.Patience, func() bool { return strings.Count(s.replicas[0].Out.String(), leadsNow) == 2 })
}
