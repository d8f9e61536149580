package rollouts

import (
	"fmt"
	"testing"
	"time"

	"vigo.dev/pkg/rollout"
)

// TestResourcesWaitForTheirWindow: the canaries have the new bundle at once, but what is new in it is for hours that are yet to come. Until
// those, they have shown nothing and nobody else gets it; when they come for them, the rollout goes on by itself.
func TestResourcesWaitForTheirWindow(t *testing.T) {
	t.Parallel()
	f := prepare(t, short())
	now := time.Now().UTC()
	hours := now.Add(3*time.Hour).Format("15:04") + "-" + now.Add(9*time.Hour).Format("15:04")
	f.repo.Put(map[string]string{"fleet.yaml": "kind: Fleet\nname: lab\ninterval: 1s\nlabels: [stage]\nnodes:\n  - {match: \"node-0[01]\", labels: {stage: trial}}\n" +
		"windows:\n  later: {hours: \"" + hours + "\", timezone: UTC}\n"})
	f.commit("one", "")
	f.serve()
	f.enrol(f.address, 4)
	f.begin()
	f.commit("two", "  - file: /etc/later\n    content: \"later\\n\"\n    window: later\n")
	f.awaitReason(rollout.WaitingResources, "0 of 2 healthy; on 2, resources wait to do what is new")
	f.explained(map[string]rollout.Word{"node-00": rollout.Partial, "node-01": rollout.Partial, "node-02": rollout.Pending, "node-03": rollout.Pending})
	f.stays(4*time.Second, "nobody else gets it", func() string {
		if n := f.having("two"); n != 2 {
			return fmt.Sprint(n, " have it")
		}
		return ""
	})
	f.clocks = map[string]time.Duration{"node-00": 6 * time.Hour, "node-01": 6 * time.Hour}
	for name := range f.clocks {
		f.kill(name)
		f.run(name)
	}
	f.awaitReason(rollout.WaitingResources, "2 of 4 healthy; on 2, resources wait to do what is new")
	if st := f.status(); states(st.Stages) != "canary passed, rest open" {
		t.Errorf("the stages are %s", states(st.Stages))
	}
	f.explained(map[string]rollout.Word{"node-00": rollout.Healthy, "node-01": rollout.Healthy, "node-02": rollout.Partial, "node-03": rollout.Partial})
}
