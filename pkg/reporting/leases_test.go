package reporting

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/trait"
)

func askOf(node, boot string) lease.Ask {
	return lease.Ask{Node: node, Boot: boot, Group: "db", AtOnce: rollout.Share{Nodes: 1}, Term: 30 * time.Minute, Delay: time.Minute, Why: "a kernel", Nonce: "n-" + node}
}

// booted is a check-in of a node in a boot, with the outcome of its first run.
func booted(node, boot string, seq int64, counts report.Counts) report.CheckIn {
	return report.CheckIn{Node: node, Boot: boot, Seq: seq, Interval: half, Bundle: current, Run: report.Summary{ID: "run " + boot, Counts: counts}}
}

func (r *rig) ask(t *testing.T, a lease.Ask) lease.Answer {
	t.Helper()
	answer, err := r.AskReboot(t.Context(), a)
	must(t, err)
	return answer
}

// reboots are the nodes with their states, after the service has looked.
func (r *rig) reboots(t *testing.T) string {
	t.Helper()
	must(t, r.lookAtLeases(t.Context()))
	list, err := r.ListReboots(t.Context())
	must(t, err)
	var words []string
	for _, one := range list {
		words = append(words, one.Node+" "+one.State)
	}
	return strings.Join(words, ", ")
}

func (r *rig) kinds(t *testing.T, node string) []string {
	t.Helper()
	events, err := r.Events(t.Context(), 100)
	must(t, err)
	var kinds []string
	for _, e := range slices.Backward(events) {
		if e.Node == node && strings.HasPrefix(e.Kind, "reboot.") {
			kinds = append(kinds, strings.TrimPrefix(e.Kind, "reboot."))
		}
	}
	return kinds
}

// long has the rig listen for so long that silence says something.
func long(t *testing.T, r *rig) {
	t.Helper()
	r.Tick(t.Context())
	r.listenUntil(t, r.Now().Add(5*time.Minute))
}

// TestRebootSlotLocksLeak is airlock#81 with the service: a machine does not come back, its place stays taken and says whose it is,
// people are told, and an operator frees it; also after the service was killed in between.
func TestRebootSlotLocksLeak(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"db-1", "db-2"} {
		r.join(t, name)
	}
	long(t, r)
	for i, name := range []string{"db-1", "db-2"} {
		r.checkIn(t, booted(name, name+"-a", int64(i+1), report.Counts{OK: 1}))
	}
	if a := r.ask(t, askOf("db-1", "db-1-a")); !a.Granted || a.Node != "db-1" || a.Nonce != "n-db-1" || !a.Until.Equal(r.Now().Add(31*time.Minute)) {
		t.Fatalf("%+v", a)
	}
	if a := r.ask(t, askOf("db-2", "db-2-a")); a.Granted || a.Why != "1 of 1 place of db taken by db-1" {
		t.Fatalf("%+v", a)
	}
	r.restart(t, time.Second)
	if got := r.reboots(t); got != "db-1 reboots, db-2 waits" {
		t.Fatal(got)
	}
	r.restart(t, 2*time.Hour) // the service was away for longer than the lease: nobody is overdue by that
	if got := r.reboots(t); got != "db-1 reboots, db-2 waits" {
		t.Fatal(got)
	}
	long(t, r)
	if got := r.reboots(t); got != "db-1 overdue" { // and db-2 asks no longer
		t.Fatal(got)
	}
	if kinds := r.problemKinds(t); !slices.Equal(kinds, []string{"reboot", "stale", "stale"}) {
		t.Errorf("problems: %v", kinds)
	}
	if n := r.node(t, "db-1"); n.Reboot == nil || n.Reboot.State != report.RebootOverdue || n.Reboot.Text != "it is silent" {
		t.Errorf("%+v", n.Reboot)
	}
	if st := r.status(t); st.Reboots != (report.RebootCounts{Now: 1, Overdue: 1}) {
		t.Errorf("%+v", st.Reboots)
	}
	if a := r.ask(t, askOf("db-2", "db-2-a")); a.Granted || !strings.Contains(a.Why, "db-1 (overdue)") {
		t.Fatalf("%+v", a)
	}
	must(t, r.ReleaseReboot(t.Context(), "db-1"))
	if err := r.ReleaseReboot(t.Context(), "db-1"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("released twice: %v", err)
	}
	if a := r.ask(t, askOf("db-2", "db-2-a")); !a.Granted {
		t.Fatalf("%+v", a)
	}
	if got := r.kinds(t, "db-1"); !slices.Equal(got, []string{"granted", "overdue", "released"}) {
		t.Errorf("told: %v", got)
	}
}

// A place is free when its node has booted and a run of that boot shows that it is well, and not before.
func TestAPlaceIsFreeWhenTheNodeIsWell(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "db-1")
	long(t, r)
	r.checkIn(t, booted("db-1", "a", 1, report.Counts{OK: 1}))
	if !r.ask(t, askOf("db-1", "a")).Granted {
		t.Fatal("not granted")
	}
	r.pass(3 * time.Minute)
	starting := booted("db-1", "b", 2, report.Counts{})
	starting.Run = report.Summary{}
	failing := booted("db-1", "b", 3, report.Counts{Failed: 1})
	well := booted("db-1", "b", 4, report.Counts{OK: 1})
	well.Run.ID = "another run"
	for _, step := range []struct {
		in   report.CheckIn
		want string
	}{{starting, "db-1 reboots"}, {failing, "db-1 reboots"}, {well, ""}} {
		r.checkIn(t, step.in)
		if got := r.reboots(t); got != step.want {
			t.Fatalf("after %+v: %q, want %q", step.in.Run, got, step.want)
		}
	}
	if got := r.kinds(t, "db-1"); !slices.Equal(got, []string{"granted", "back"}) {
		t.Errorf("told: %v", got)
	}
}

// A node that could not order its reboot, or whose window has closed meanwhile, gives its place back; a retired one has none.
func TestAPlaceIsGivenBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "db-1")
	r.join(t, "db-2")
	r.ask(t, askOf("db-1", "a"))
	back := askOf("db-1", "a")
	back.Back = true
	if r.ask(t, back).Granted || r.reboots(t) != "" {
		t.Fatal(r.reboots(t))
	}
	if !r.ask(t, askOf("db-2", "a")).Granted {
		t.Fatal("not granted")
	}
	must(t, r.Retire(t.Context(), "db-2"))
	if _, err := r.AskReboot(t.Context(), askOf("db-2", "a")); !errors.Is(err, api.ErrRetired) {
		t.Errorf("a retired node asks: %v", err)
	}
	long(t, r)
	if got := r.reboots(t); got != "" {
		t.Fatal(got)
	}
}

// A percentage is one of the nodes that have told that they are in the group.
func TestPercentOfAGroup(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	facet, err := trait.FacetOf(report.RebootsTrait, report.RebootDoc{Group: "web"})
	must(t, err)
	names := []string{"web-1", "web-2", "web-3", "web-4", "web-5", "web-6", "web-7", "web-8", "web-9"}
	for i, name := range names {
		r.join(t, name)
		in := booted(name, "a", int64(i+1), report.Counts{OK: 1})
		in.Facets = map[string]string{facet.Name: facet.Digest}
		in.Traits = trait.Root(in.Facets)
		r.checkIn(t, in)
	}
	granted := 0
	for _, name := range names {
		a := askOf(name, "a")
		a.Group, a.AtOnce = "web", rollout.Share{Percent: 35}
		if r.ask(t, a).Granted {
			granted++
		}
	}
	if granted != 3 {
		t.Errorf("%d reboot at once, want 3 of 9", granted)
	}
}

// Two services on one database give a place once between them, and each sees who has it.
func TestLeasesOfReplicas(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	a, b := p.a, p.b
	a.join(t, "db-1")
	a.join(t, "db-2")
	var granted [2]bool
	var asking sync.WaitGroup
	must(t, b.Refresh(t.Context()))
	for i, r := range []*rig{a, b} {
		asking.Go(func() {
			answer, err := r.AskReboot(t.Context(), askOf([]string{"db-1", "db-2"}[i], "a"))
			if err != nil {
				t.Error(err)
			}
			granted[i] = answer.Granted
		})
	}
	asking.Wait()
	if granted[0] == granted[1] {
		t.Errorf("granted: %v", granted)
	}
	if x, y := a.reboots(t), b.reboots(t); x != y || !strings.Contains(x, "reboots") || !strings.Contains(x, "waits") {
		t.Errorf("%q and %q", x, y)
	}
}

// TestAHubCannotGiveTurns: the answer is sealed by the authority, for one ask of one node.
func TestAHubCannotGiveTurns(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	server := r.listen(t)
	key, err := identity.NewNodeKey()
	must(t, err)
	client, _, err := r.agent(t, server.URL, "db-1", key)
	must(t, err)
	asks := api.RebootClient{AgentClient: client, CA: r.ca.CertPEM()}
	if a, err := asks.AskReboot(t.Context(), askOf("db-1", "a")); err != nil || !a.Granted {
		t.Fatalf("%+v %v", a, err)
	}
	if _, err := asks.AskReboot(t.Context(), askOf("db-2", "a")); !errors.Is(err, api.ErrWrongNode) {
		t.Errorf("asked for another node: %v", err)
	}
	wrong := askOf("db-1", "")
	if _, err := asks.AskReboot(t.Context(), wrong); !errors.Is(err, api.ErrBadRequest) {
		t.Errorf("a bad ask: %v", err)
	}
	other, err := identity.NewCA("acme", noon)
	must(t, err)
	asks.CA = other.CertPEM()
	if _, err := asks.AskReboot(t.Context(), askOf("db-1", "a")); !errors.Is(err, identity.ErrSeal) {
		t.Errorf("an answer of another authority is taken: %v", err)
	}
}

// A node that is silent because it reboots in turn is no problem and no alert, until it is overdue: then it is both.
func TestARebootIsNoAlarm(t *testing.T) {
	t.Parallel()
	r, _ := hooked(t, nil)
	stale, overdue := report.NewAlertRule("stale", report.EventStale), report.NewAlertRule("overdue", report.EventReboot)
	r.rules(t, stale, overdue)
	r.join(t, "db-1")
	long(t, r)
	r.checkIn(t, booted("db-1", "a", 1, report.Counts{OK: 1}))
	if !r.ask(t, askOf("db-1", "a")).Granted {
		t.Fatal("not granted")
	}
	for _, step := range []struct {
		after  time.Duration
		firing []string
	}{{10 * time.Minute, []string{}}, {25 * time.Minute, []string{"overdue db-1", "stale db-1"}}} {
		r.listenUntil(t, r.Now().Add(step.after))
		_ = r.reboots(t)
		r.Tick(t.Context())
		if got := r.firing(t); !slices.Equal(got, step.firing) {
			t.Errorf("after %s: %v, want %v", step.after, got, step.firing)
		}
		if got := r.problemKinds(t); (len(got) > 0) != (len(step.firing) > 0) {
			t.Errorf("after %s: problems %v", step.after, got)
		}
	}
}
