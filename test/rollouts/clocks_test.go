package rollouts

import (
	"fmt"
	"os"
	"testing"
	"time"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/cli/agentcmd"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// clockVariable makes this test binary be an agent whose clock is so far ahead.
const clockVariable = "VIGO_TEST_CLOCK"

func agentWithClock() int {
	ahead, err := time.ParseDuration(os.Getenv(clockVariable))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	env := cli.System("vigo-agent", "test")
	env.Now = func() time.Time { return time.Now().Add(ahead) }
	return cli.Main(env, agentcmd.New(env), os.Args[1:])
}

// TestClocks: the clocks of two nodes are a day ahead and a day behind. They take part in a rollout as the others do: nothing
// in it is decided by the clock of a node.
func TestClocks(t *testing.T) {
	t.Parallel()
	f := prepare(t, short())
	f.serve()
	f.clocks = map[string]time.Duration{"node-01": 24 * time.Hour, "node-03": -24 * time.Hour}
	f.enrol(f.address, 5)
	f.begin()
	f.commit("two", "")
	f.awaitPhase(rollout.Completed, "")
	f.await("all nodes have it", func() string { return f.missing("two") })
	f.awaitStatus("both are well", func(s report.RolloutStatus) bool { return s.Counts[rollout.Healthy] == 5 })
}
