package browser

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// candidate is the bundle that is rolled out.
const candidate = "sha256:77aa2b0c9d8e7f6a5b4c3d2e1f00918273645546372819a0b1c2d3e4f5061728"

// roll begins a rollout on a channel, as a controller does: a canary of databases, then a tenth when somebody agrees, then all.
func (f *fleet) roll(t *testing.T, channel string) {
	t.Helper()
	c, err := api.NewOperatorClient(f.url, f.operator(t, "controller of "+channel, identity.RolePublisher), time.Now)
	must(t, err)
	defer c.Close()
	gate := rollout.Gate{Checkins: 1, Success: 98, OnEmpty: rollout.Block}
	_, err = c.Roll(t.Context(), api.RolloutPlan{Channel: channel, Stable: bundle.Target{Digest: stable, Commit: "4f1c2a9d8e7b6a5f4c3d2e1f0a9b8c7d6e5f4a3b"},
		Candidate: bundle.Target{Digest: candidate, Commit: "9c3e5d7f1a2b4c6d8e0f1a3b5c7d9e1f2a4b6c8d"},
		Spec: rollout.Spec{Channel: channel, Deadline: 2 * time.Hour, LostAfter: 30, OnAbort: rollout.Hold, Supersede: rollout.Restart, Cohort: rollout.EachRelease, MaxInFlight: rollout.Share{Percent: 50},
			Abort: rollout.Abort{Failed: rollout.Limit{Percent: 50, Min: 3}, Lost: rollout.Limit{Percent: 50, Min: 3}},
			Stages: []rollout.Stage{{Name: "canary", When: `role == "db"`, Size: rollout.Share{Percent: 100}, Gate: gate},
				{Name: "early", Size: rollout.Share{Percent: 50}, Gate: gate, Approve: rollout.Approve{Count: 1}}, {Name: "rest", Size: rollout.Share{Percent: 100}, Gate: gate}}}})
	must(t, err)
}

// alive is machines that check in again and again, and take the candidate when their place in the rollout says so.
type alive struct {
	mu   sync.Mutex
	list []*machine
	has  map[string]bool
}

// keep has machines check in twice a second until the test ends.
func (f *fleet) keep(t *testing.T, list ...*machine) *alive {
	t.Helper()
	a := &alive{list: list, has: map[string]bool{}}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for _, m := range list {
				digest := stable
				if a.took(m.name) {
					digest = candidate
				}
				_, _ = m.CheckIn(ctx, report.CheckIn{Node: m.name, Agent: "0.1.0", Channel: m.channel, Pointer: "3.1412", Bundle: digest, // the next one is as good
					Run: report.Summary{ID: fmt.Sprint(m.name, n), Started: time.Now(), Took: time.Second, Counts: report.Counts{OK: 42}}})
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return a
}

// take has machines run the candidate.
func (a *alive) take(names ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, name := range names {
		a.has[name] = true
	}
}

func (a *alive) took(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.has[name]
}

// moving is a fleet of machines with a rollout that waits for its canaries.
func moving(t *testing.T) (*fleet, *alive) {
	t.Helper()
	f := newFleet(t)
	f.publish(t, note("production", 2*time.Second))
	var list []*machine
	for i := range 12 {
		role := "web"
		if i < 3 {
			role = "db"
		}
		list = append(list, f.join(t, fmt.Sprintf("%s-%02d", role, i+1), "production", map[string]string{"role": role}))
	}
	a := f.keep(t, list...)
	f.roll(t, "production")
	return f, a
}

// TestRolloutMoves has a rollout go on while its page is open, which is not loaded anew; and a node is asked about.
func TestRolloutMoves(t *testing.T) {
	t.Parallel()
	chromium(t)
	f, machines := moving(t)
	tb := newTab(t, f)
	tb.login(f.viewer)
	tb.click(`nav a[href="/ui/rollouts"]`)
	tb.click(`tbody a[href="/ui/rollouts/production"]`)
	tb.await("the stream", `document.getElementById("link").textContent === "Live."`)
	eval[string](tb, "window.same = 'the same page'")
	page := `document.getElementById("live-rollout").innerText`
	tb.await("the canaries that are let in", page+`.match(/3\s*↻?\s*admitted/) !== null`)
	machines.take("db-01", "db-02", "db-03")
	tb.await("that somebody has to agree", page+`.includes("waiting-approval") && `+page+`.includes("vigo rollout approve production")`)
	_, err := f.client.CommandRollout(t.Context(), "production", api.RolloutCommand{Do: rollout.DoApprove})
	must(t, err)
	tb.await("who has agreed", page+`.includes("1 of 1: ada")`)
	if eval[string](tb, "window.same") != "the same page" {
		t.Error("the page was loaded anew")
	}
	tb.open("/ui/rollouts/production?node=db-01&word=healthy")
	tb.whole("a node", "it has the new bundle by stage canary", 1280)
	tb.whole("nodes of a word", "3 of 3", 1280)
	tb.open("/ui/nodes/db-01")
	tb.click(`#live-facts a[href^="/ui/rollouts/production"]`)
	if at := eval[string](tb, "location.search"); !strings.Contains(at, "node=db-01") {
		t.Errorf("the node leads to %s", at)
	}
	tb.clean("the pages")
}
