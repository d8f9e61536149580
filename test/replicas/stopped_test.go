package replicas

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// leadsNow is what a service says when it begins to lead.
const leadsNow = "this service leads those on the database"

// TestStoppedLeader: a leader that does not run any more, with its connections open, as those of a machine that is gone without
// a word are for the database, loses the lead after 15 seconds; when it goes on, it follows.
func TestStoppedLeader(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.replicas[0].says(t, leadsNow)
	began := time.Now()
	must(t, s.replicas[0].cmd.Process.Signal(syscall.SIGSTOP))
	s.replicas[1].says(t, leadsNow)
	t.Logf("another service leads after %s", time.Since(began).Round(time.Second))
	must(t, s.replicas[0].cmd.Process.Signal(syscall.SIGCONT))
	s.replicas[1].end(syscall.SIGKILL)
	await(t, "the first to lead again", func() bool { return strings.Count(s.replicas[0].out.String(), leadsNow) == 2 })
}
