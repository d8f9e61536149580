package house

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/policy"
	"vigo.dev/pkg/rollout"
)

// TestRolloutsPageShowsAPolicyThatCompiles: the file that docs/rollouts.md begins with.
func TestRolloutsPageShowsAPolicyThatCompiles(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/rollouts.md")
	if err != nil {
		t.Fatal(err)
	}
	quotes := regexp.MustCompile("(?s)```yaml\n(kind: Rollout\n.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(quotes) == 0 {
		t.Fatal("docs/rollouts.md shows no rollout")
	}
	l, _, _ := loadExample(t)
	for _, quote := range quotes {
		fsys := fstest.MapFS{"rollouts/stable.yaml": {Data: []byte(quote[1])},
			"fleet.yaml": {Data: []byte("kind: Fleet\nname: acme\nlabels: [environment]\nwindows: {nights: {hours: \"22:00-02:00\"}}\n")}}
		if _, _, err := policy.Read(fsys, l.Check); err != nil {
			t.Errorf("docs/rollouts.md: %v\n%s", err, quote[1])
		}
	}
}

// exampleFleet plays the rollout of the example on forty machines, five of them in the lab, in steps of an interval.
type exampleFleet struct {
	spec  rollout.Spec
	state rollout.State
	now   time.Time
	nodes []rollout.Node
	role  map[string]string
	log   []rollout.Transition
	bad   bool // the new bundle fails on every machine
}

func newExampleFleet(t *testing.T) *exampleFleet {
	t.Helper()
	fsys := os.DirFS(example)
	_, p, _ := loadExample(t)
	specs, _, err := policy.LoadRollouts(fsys, p.Fleet)
	if err != nil || len(specs) != 1 {
		t.Fatalf("%d rollouts, %v", len(specs), err)
	}
	f := &exampleFleet{spec: specs["stable"], now: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), role: map[string]string{}}
	for i := range 40 {
		role, name := "web", fmt.Sprint("web-", i)
		if i < 5 {
			role, name = "lab", fmt.Sprint("lab-", i)
		}
		f.role[name] = role
		n := rollout.Node{ID: name, Seen: f.now, Interval: 30 * time.Second, Live: true, Digest: "one"}
		for bit, st := range f.spec.Stages {
			if f.meets(t, name, st.When) {
				n.Stages |= 1 << bit
			}
		}
		f.nodes = append(f.nodes, n)
	}
	f.state = rollout.Begin("r", f.spec, "one", "two", nil, f.now)
	return f
}

func (f *exampleFleet) meets(t *testing.T, node, when string) bool {
	t.Helper()
	if when == "" {
		return true
	}
	c, err := expr.CompileLabels(when)
	if err != nil {
		t.Fatal(err)
	}
	ok, err := c.OfLabels(node, map[string]string{"role": f.role[node]})
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// until plays until the rollout is what is wanted, at most two days.
func (f *exampleFleet) until(t *testing.T, is func(rollout.State) bool, commands ...rollout.Command) {
	t.Helper()
	for range 2 * 24 * 120 {
		f.now = f.now.Add(30 * time.Second)
		for i := range f.nodes {
			n := &f.nodes[i]
			n.Seen = f.now
			n.Digest = rollout.Decide(f.state.Signed(), rollout.Place{Node: n.ID, Current: n.Digest, Meets: func(when string) (bool, error) { return f.meets(t, n.ID, when), nil }}).Target
			if n.Failed = 0; f.bad && n.Digest == "two" {
				n.Failed = 1
			}
		}
		var told []rollout.Transition
		f.state, told = rollout.Step(f.state, rollout.Snapshot{Now: f.now, Open: true, Nodes: f.nodes}, commands)
		commands = nil
		f.log = append(f.log, told...)
		if is(f.state) {
			return
		}
	}
	t.Fatalf("it is %s (%s) for ever: %v", f.state.Phase, f.state.Reason, f.log)
}

// having is the machines that have the new bundle, as roles.
func (f *exampleFleet) having() (roles []string) {
	for _, n := range f.nodes {
		if n.Digest == "two" {
			roles = append(roles, f.role[n.ID])
		}
	}
	slices.Sort(roles)
	return roles
}

// TestExampleRolloutReachesAll by the lab and a tenth of the others, when somebody agrees.
func TestExampleRolloutReachesAll(t *testing.T) {
	t.Parallel()
	f := newExampleFleet(t)
	f.until(t, func(s rollout.State) bool { return s.Stage == 1 })
	if got := strings.Join(f.having(), " "); got != "lab lab lab lab lab" {
		t.Errorf("after the first stage %s have it", got)
	}
	f.until(t, func(s rollout.State) bool { return s.Reason == rollout.WaitingApproval })
	if n := len(f.having()); n > 9 {
		t.Errorf("%d of 40 have it before somebody agrees", n)
	}
	f.until(t, func(s rollout.State) bool { return s.Phase == rollout.Completed }, rollout.Command{Do: rollout.DoApprove, By: "ada"})
	if n := len(f.having()); n != 40 {
		t.Errorf("%d of 40 have it in the end", n)
	}
}

// TestExampleRolloutStopsInTheLab when the new bundle fails.
func TestExampleRolloutStopsInTheLab(t *testing.T) {
	t.Parallel()
	f := newExampleFleet(t)
	f.bad = true
	f.until(t, func(s rollout.State) bool { return s.Phase == rollout.Aborted })
	if roles := f.having(); len(roles) == 0 || slices.Contains(roles, "web") {
		t.Errorf("%v have it", roles)
	}
}
