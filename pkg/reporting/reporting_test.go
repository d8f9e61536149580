package reporting

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/change"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// TestPresence goes from live to missing by the receipt time and the interval the node was told, and writes each
// transition once, within a second.
func TestPresence(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	if got := r.node(t, "web-1").Presence; got != report.Never {
		t.Errorf("before its first check-in: %s", got)
	}
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.Tick(t.Context())
	for _, c := range []struct {
		after time.Duration
		want  report.Presence
	}{{half * 3 / 2, report.Live}, {half*3/2 + 1, report.Late}, {3 * half, report.Late}, {3*half + 1, report.Stale}, {24 * time.Hour, report.Stale}, {24*time.Hour + 1, report.Missing}} {
		r.listenUntil(t, noon.Add(c.after))
		if got := r.node(t, "web-1").Presence; got != c.want {
			t.Errorf("after %s: %s, want %s", c.after, got, c.want)
		}
	}
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.Tick(t.Context())
	r.Tick(t.Context())
	if got := r.eventKinds(t, "web-1"); !slices.Equal(got, []string{"node.back", "node.missing", "node.stale", "node.enrolled"}) {
		t.Errorf("what happened: %v", got)
	}
}

// TestAmnesty: what the service did not hear while it was away is nobody's silence, and nobody is called stale before it
// had three intervals to come back; who was stale before stays so.
func TestAmnesty(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"gone", "late", "back"} {
		r.join(t, name)
	}
	r.checkIn(t, report.CheckIn{Node: "gone"})
	r.pass(2 * half)
	r.checkIn(t, report.CheckIn{Node: "late"})
	r.pass(2 * half) // gone is stale, late is late
	r.checkIn(t, report.CheckIn{Node: "back"})
	presences := func() string {
		return fmt.Sprint(r.node(t, "gone").Presence, " ", r.node(t, "late").Presence, " ", r.node(t, "back").Presence)
	}
	r.restart(t, time.Hour)
	st := r.status(t)
	if want := r.Now().Add(3 * half); !st.Amnesty.Equal(want) {
		t.Errorf("the amnesty is until %s, want %s", st.Amnesty, want)
	}
	if got := presences(); got != "stale late live" {
		t.Errorf("after an hour away: %s", got)
	}
	r.pass(2 * half)
	if got := presences(); got != "stale late late" {
		t.Errorf("two intervals later: %s", got)
	}
	// It goes away again before they could come back: that, too, is nobody's silence.
	r.restart(t, time.Minute)
	r.pass(2 * half)
	if got := presences(); got != "stale late late" {
		t.Errorf("after a second absence: %s", got)
	}
	r.checkIn(t, report.CheckIn{Node: "back"})
	r.pass(half + time.Second)
	if got := presences(); got != "stale stale live" || !r.status(t).Amnesty.IsZero() {
		t.Errorf("after the amnesty: %s", got)
	}
}

// TestPause: a process that was stopped did not listen either.
func TestPause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	r.Tick(t.Context())
	r.pass(time.Hour)
	r.Tick(t.Context())
	if got := r.node(t, "web-1").Presence; got == report.Stale {
		t.Errorf("after the service itself stood still for an hour: %s", got)
	}
	for range 10 {
		r.pass(10 * time.Second)
		r.Tick(t.Context())
	}
	if got := r.eventKinds(t, "web-1"); got[0] != "node.stale" {
		t.Errorf("after three intervals of silence: %v", got)
	}
}

// TestFacets: the service asks for what it lacks, and only for that; what two nodes share travels once; what was not
// announced is not kept.
func TestFacets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.join(t, "web-2")
	os, cpu := facet(t, "os", map[string]any{"id": "debian"}), facet(t, "cpu", map[string]any{"cores": 2})
	digests := map[string]string{"os": os.Digest, "cpu": cpu.Digest}
	root := trait.Root(digests)
	if a := r.checkIn(t, report.CheckIn{Node: "web-1", Traits: root}); !a.Names || len(a.Need) != 0 {
		t.Errorf("a root that is not known: %+v", a)
	}
	a := r.checkIn(t, report.CheckIn{Node: "web-1", Traits: root, Facets: digests})
	if slices.Sort(a.Need); a.Names || len(a.Need) != 2 {
		t.Errorf("names that are not known: %+v", a)
	}
	other := facet(t, "os", "never announced")
	must(t, r.PutFacets(t.Context(), "web-1", report.Facets{Facets: []trait.Facet{os, cpu, other}}))
	if docs, err := r.DB.FacetDigests(t.Context()); err != nil || len(docs) != 2 {
		t.Errorf("kept %v: %v", docs, err)
	}
	if a := r.checkIn(t, report.CheckIn{Node: "web-1", Traits: root}); a.Names || len(a.Need) != 0 {
		t.Errorf("all is known: %+v", a)
	}
	if a := r.checkIn(t, report.CheckIn{Node: "web-2", Traits: root, Facets: digests}); len(a.Need) != 0 {
		t.Errorf("another node with the same: %+v", a)
	}
	r.restart(t, 0)
	if a := r.checkIn(t, report.CheckIn{Node: "web-1", Traits: root}); a.Names || len(a.Need) != 0 {
		t.Errorf("after a restart: %+v", a)
	}
	list, err := r.Traits(t.Context(), report.Query{Name: "web-1"}, "")
	if err != nil || len(list) != 1 || fmt.Sprint(list[0].Traits) != "map[cpu:map[cores:2] os:map[id:debian]]" {
		t.Errorf("the traits are %+v: %v", list, err)
	}
	for name, bad := range map[string]map[string]string{"no digest": {"os": "debian"}, "no name": {"": os.Digest}} {
		_, err := r.CheckIn(t.Context(), report.CheckIn{Node: "web-1", Facets: bad})
		refusedAs(t, name, err, api.ErrBadRequest)
	}
	_, err = r.Traits(t.Context(), report.Query{}, "os.id ==")
	refusedAs(t, "a condition that is none", err, api.ErrBadRequest)
}

func failing(id string, at time.Time) (report.CheckIn, report.Run) {
	run := report.Run{ID: id, Node: "web-1", Started: at, Counts: report.Counts{OK: 3, Failed: 1},
		Results: []report.Result{{ID: "nginx/service:nginx", Outcome: report.Failed, Reason: "exit 1", Changes: []change.Change{}}}}
	return report.CheckIn{Node: "web-1", Run: report.Summary{ID: id, Started: at, Counts: run.Counts}}, run
}

// TestCompliance shows the last run, with its reason as soon as that arrives, how often in a row and since when; it is
// over with the first good run, and history from the spool does not bring it back.
func TestCompliance(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	in, run := failing("1", noon)
	r.checkIn(t, in)
	if p := r.status(t).Problems; len(p) != 1 || p[0].Kind != "failed" || !strings.Contains(p[0].Text, "not arrived") {
		t.Errorf("before the details: %+v", p)
	}
	must(t, r.PutRuns(t.Context(), "web-1", []report.Run{run}))
	r.pass(half)
	in, run = failing("2", r.Now())
	r.checkIn(t, in)
	must(t, r.PutRuns(t.Context(), "web-1", []report.Run{run, run}))
	r.restart(t, 0)
	st := r.status(t)
	if p := st.Problems; len(p) != 1 || p[0].Count != 2 || !p[0].First.Equal(noon) || p[0].Text != "nginx/service:nginx: exit 1" {
		t.Errorf("twice in a row, after a restart: %+v", p)
	}
	if len(st.Worst) != 1 || st.Worst[0] != (report.Worst{Module: "nginx", Nodes: 1}) || st.Compliances.Failed != 1 {
		t.Errorf("worst: %+v, %+v", st.Worst, st.Compliances)
	}
	r.pass(half)
	r.checkIn(t, report.CheckIn{Node: "web-1", Run: report.Summary{ID: "3", Started: r.Now(), Counts: report.Counts{OK: 3, Corrected: 1}}})
	must(t, r.PutRuns(t.Context(), "web-1", []report.Run{run}))
	must(t, r.PutRuns(t.Context(), "web-1", nil))
	st = r.status(t)
	if n := r.node(t, "web-1"); !st.Healthy() || n.Reason != "" || n.Failing != 0 || n.Compliance != report.ComplianceChanged || st.Compliances.Repaired != 1 || len(n.Runs) != 2 {
		t.Errorf("after a good run: %+v, %+v", st, n)
	}
}

// TestRefused shows every kind of refusal by its name, until the node no longer says it.
func TestRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	names := []string{"rollback", "equivocation", "expired", "unsigned", "wrong-key", "wrong-predicate", "other-channel", "other-fleet", "digest", "layer", "too-large"}
	var refusals []report.Refusal
	for _, name := range names {
		refusals = append(refusals, report.Refusal{Name: name, Detail: "details of " + name, What: "sha256:x", First: noon, Count: 3})
	}
	r.checkIn(t, report.CheckIn{Node: "web-1", Refusals: refusals})
	r.pass(half)
	r.checkIn(t, report.CheckIn{Node: "web-1", Refusals: refusals})
	r.restart(t, 0)
	st := r.status(t)
	for _, name := range names {
		if !slices.ContainsFunc(st.Problems, func(p report.Problem) bool {
			return p.Kind == "refused" && p.Node == "web-1" && p.Text == name+": details of "+name+" (sha256:x)" && p.Count == 3 && p.First.Equal(noon)
		}) {
			t.Errorf("%s is not shown: %+v", name, st.Problems)
		}
	}
	r.checkIn(t, report.CheckIn{Node: "web-1"})
	if !r.status(t).Healthy() {
		t.Errorf("resolved, and still shown: %+v", r.status(t).Problems)
	}
	r.restart(t, 0)
	want := slices.Concat([]string{"node.settled"}, slices.Repeat([]string{"node.refused"}, len(names)), []string{"node.enrolled"})
	if got := r.eventKinds(t, "web-1"); !slices.Equal(got, want) {
		t.Errorf("each is an event, once: %v", got)
	}
}

// TestRefusedAtLength shows that a node that invents refusals does not fill the store.
func TestRefusedAtLength(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	for i := range 2 * maxRefusalEvents {
		r.checkIn(t, report.CheckIn{Node: "web-1", Refusals: []report.Refusal{{Name: "x", What: strconv.Itoa(i), Detail: strings.Repeat("x", 4096)}}})
	}
	r.restart(t, 0)
	events, err := r.DB.Events(t.Context(), "web-1", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 1+maxRefusalEvents || len(events[1].Text) > maxEventText {
		t.Errorf("%d events, one of %d bytes", len(events), len(events[1].Text))
	}
}

// TestChannelFailing shows where a commit does not compile, until it does; what was published stays.
func TestChannelFailing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := note()
	r.publish(t, good)
	bad := good
	bad.Error, bad.ErrorCommit, bad.ErrorSince = `modules/sshd/module.yaml:7:5: unknown key "prot"`, "def", noon
	r.publish(t, bad)
	r.publish(t, bad)
	r.restart(t, 0)
	st := r.status(t)
	if p := st.Problems; len(p) != 1 || p[0].Kind != "channel" || p[0].Text != bad.Error || p[0].Commit != "def" || st.Channels[0].Digest != current {
		t.Errorf("while it does not compile: %+v", st)
	}
	r.publish(t, good)
	if !r.status(t).Healthy() {
		t.Errorf("mended, and still shown: %+v", r.status(t).Problems)
	}
	if got := r.eventKinds(t, ""); !slices.Equal(got, []string{"channel.error", "channel.published"}) {
		t.Errorf("what happened: %v", got)
	}
	r.publish(t, report.ChannelNote{Channel: "renamed", Pointer: "1.1", Digest: current})
	if st := r.status(t); len(st.Channels) != 1 || st.Channels[0].Channel != "renamed" {
		t.Errorf("a channel that is gone stays: %+v", st.Channels)
	}
}

// TestDigest compares what a node says with what is published, and says so when it does not follow for long.
func TestDigest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   report.CheckIn
		want report.Digest
		kind string // of the problem when it stays so
	}{
		"current":  {report.CheckIn{Bundle: current, Pointer: "1.7"}, report.DigestCurrent, ""},
		"behind":   {report.CheckIn{Bundle: older, Pointer: "1.6"}, report.DigestBehind, "behind"},
		"nothing":  {report.CheckIn{}, report.DigestBehind, "behind"},
		"frozen":   {report.CheckIn{Bundle: current, Pointer: "1.6"}, report.DigestCurrent, "frozen"},
		"ahead":    {report.CheckIn{Bundle: older, Pointer: "1.8"}, report.DigestAhead, "ahead"},
		"by epoch": {report.CheckIn{Bundle: older, Pointer: "2.1"}, report.DigestAhead, "ahead"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.join(t, "web-1")
			c.in.Node = "web-1"
			r.checkIn(t, c.in)
			if got := r.node(t, "web-1").Digest; got != report.DigestUnknown {
				t.Errorf("before anything is published: %s", got)
			}
			r.publish(t, note())
			r.checkIn(t, c.in)
			if n := r.node(t, "web-1"); n.Digest != c.want || !r.status(t).Healthy() {
				t.Errorf("at once: %s, %v", n.Digest, r.problemKinds(t))
			}
			for range patience + 2 {
				r.pass(half)
				r.checkIn(t, c.in)
			}
			want := []string{}
			if c.kind != "" {
				want = append(want, c.kind)
			}
			if got := r.problemKinds(t); !slices.Equal(got, want) {
				t.Errorf("after a while: %v, want %v", got, want)
			}
		})
	}
}

// TestController is missed when it says nothing, and its pointer when that has expired.
func TestController(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(t, note())
	r.pass(silence)
	if !r.status(t).Healthy() {
		t.Errorf("ten minutes later: %v", r.problemKinds(t))
	}
	r.pass(time.Second)
	if got := r.problemKinds(t); !slices.Equal(got, []string{"silent"}) {
		t.Errorf("and a second: %v", got)
	}
	r.pass(7 * 24 * time.Hour)
	if got := r.problemKinds(t); !slices.Equal(got, []string{"expired", "silent"}) {
		t.Errorf("a week later: %v", got)
	}
	r.restart(t, time.Hour)
	if got := r.problemKinds(t); !slices.Equal(got, []string{"expired"}) {
		t.Errorf("after an absence of the service itself: %v", got)
	}
}

// TestInterval is the configured one, or else that of the policy of the node's channel.
func TestInterval(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	r.Service.Interval = 0
	n := note()
	n.Interval = 90 * time.Second
	if got := r.checkIn(t, report.CheckIn{Node: "web-1"}).Interval; got != defaultInterval {
		t.Errorf("before a policy is known: %s", got)
	}
	r.publish(t, n)
	if a := r.checkIn(t, report.CheckIn{Node: "web-1"}); a.Interval != n.Interval || a.Pointer != n.Pointer || a.Labels["role"] != "web" {
		t.Errorf("then: %+v", a)
	}
	n.Interval = time.Nanosecond
	r.publish(t, n)
	if a := r.checkIn(t, report.CheckIn{Node: "web-1"}); a.Interval != 90*time.Second {
		t.Errorf("an interval that is none was passed on: %s", a.Interval)
	}
}

// TestRetire refuses a node at once, its key for ever, and lets a new key have the name, counting anew.
func TestRetire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.listen(t)
	key, err := identity.NewNodeKey()
	must(t, err)
	agent, _, err := r.agent(t, s.URL, "web-1", key)
	must(t, err)
	for range 3 {
		if _, err := agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := agent.Renew(t.Context()); err != nil {
		t.Errorf("renewing: %v", err)
	}
	must(t, r.Service.Retire(t.Context(), "web-1"))
	_, err = agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1"})
	refusedAs(t, "checking in on a connection that was open", err, api.ErrRetired)
	_, err = agent.Renew(t.Context())
	refusedAs(t, "renewing", err, api.ErrRetired)
	refusedAs(t, "delivering", agent.Put(t.Context(), report.Run{ID: "1", Node: "web-1"}), api.ErrRetired)
	_, _, err = r.agent(t, s.URL, "web-2", key)
	refusedAs(t, "enrolling the key under another name", err, api.ErrRetired)
	other, err := identity.NewNodeKey()
	must(t, err)
	again, _, err := r.agent(t, s.URL, "web-1", other)
	must(t, err)
	if _, err := again.CheckIn(t.Context(), report.CheckIn{Node: "web-1"}); err != nil {
		t.Errorf("a new machine of the old name: %v", err)
	}
	_, err = agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1"})
	refusedAs(t, "the old machine of the same name", err, api.ErrWrongNode)
	refusedAs(t, "retiring what is not there", r.Service.Retire(t.Context(), "nonesuch"), api.ErrNotFound)
	_, _, err = r.agent(t, s.URL, "web-1", key)
	if err == nil {
		t.Error("the old machine has its name back")
	}
}

// TestEnroll grants labels, and lets nobody name itself otherwise.
func TestEnroll(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key, err := identity.NewNodeKey()
	must(t, err)
	token := r.tokenFor(t, api.TokenRequest{Names: "web-*", Uses: 1, Life: time.Hour, Labels: map[string]string{"role": "web"}, Channel: "early"})
	if _, err := r.enroll(t, key, token, "db-1"); !errors.Is(err, identity.ErrNotAllowed) {
		t.Errorf("a name the token does not allow: %v", err)
	}
	csr, err := key.CSR("web-9")
	must(t, err)
	if _, err := r.Enroll(t.Context(), api.EnrollRequest{Token: token, Node: "web-1", CSR: string(csr)}); !errors.Is(err, identity.ErrCSR) {
		t.Errorf("a request for another name: %v", err)
	}
	a, err := r.enroll(t, key, token, "web-1")
	if err != nil || a.Labels["role"] != "web" || a.Channel != "early" || string(a.TrustRoot) != "root" || a.Registry[0] != "registry/acme" {
		t.Errorf("enrolled: %+v, %v", a, err)
	}
	if _, err := r.enroll(t, key, token, "web-1"); err != nil {
		t.Errorf("the answer was lost: %v", err)
	}
	second, err := identity.NewNodeKey()
	must(t, err)
	_, err = r.enroll(t, second, r.tokenFor(t, api.TokenRequest{}), "web-1")
	refusedAs(t, "a name that is taken", err, api.ErrTaken)
	r.pass(time.Hour)
	if _, err := r.enroll(t, second, token, "web-2"); !errors.Is(err, identity.ErrExpired) {
		t.Errorf("an expired token: %v", err)
	}
	for name, req := range map[string]api.TokenRequest{
		"uses below none":    {Uses: -1},
		"life below none":    {Life: -time.Second},
		"pattern":            {Names: "["},
		"channel":            {Channel: "a/b"},
		"name of a label":    {Labels: map[string]string{"a b": "x"}},
		"two lines in label": {Labels: map[string]string{"a": "x\ny"}},
	} {
		_, err := r.CreateToken(t.Context(), req)
		refusedAs(t, name, err, api.ErrBadRequest)
	}
	refusedAs(t, "revoking what is not there", r.RevokeToken(t.Context(), "nonesuch"), api.ErrNotFound)
}

// TestOperators gives tokens that work until they are replaced or removed, also over a restart.
func TestOperators(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	jane := api.Operator{Name: "jane", Role: identity.RoleViewer}
	first, err := r.AddOperator(t.Context(), jane)
	must(t, err)
	second, err := r.AddOperator(t.Context(), jane)
	must(t, err)
	r.restart(t, 0)
	if _, err := r.Operator(first); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("a token that was replaced: %v", err)
	}
	if who, err := r.Operator(second); err != nil || who != jane {
		t.Errorf("%+v, %v", who, err)
	}
	if _, err := r.Operator(r.tokenFor(t, api.TokenRequest{})); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("an enrolment token: %v", err)
	}
	must(t, r.RemoveOperator(t.Context(), "jane"))
	if _, err := r.Operator(second); !errors.Is(err, api.ErrUnauthorized) {
		t.Errorf("a token that was removed: %v", err)
	}
	refusedAs(t, "removing twice", r.RemoveOperator(t.Context(), "jane"), api.ErrNotFound)
}

// TestAdmit bounds what one sender may ask in a minute, and leaves the others alone.
func TestAdmit(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range perMinute("enroll") {
		if err := r.Admit("enroll", "192.0.2.1"); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	refusedAs(t, "one more", r.Admit("enroll", "192.0.2.1"), api.ErrTooMany)
	for _, other := range [][2]string{{"enroll", "192.0.2.2"}, {"checkin", "192.0.2.1"}} {
		must(t, r.Admit(other[0], other[1]))
	}
	r.pass(time.Minute)
	must(t, r.Admit("enroll", "192.0.2.1"))
	for i := range maxSenders {
		_ = r.Admit("checkin", fmt.Sprint(i)) // until no more can be counted
	}
	refusedAs(t, "a sender beyond those that can be counted", r.Admit("checkin", "new"), api.ErrTooMany)
	must(t, r.Admit("enroll", "192.0.2.1")) // who is counted already may go on
}

// TestReplay survives a restart: a counter that was accepted is not accepted again.
func TestReplay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.join(t, "web-1")
	must(t, r.Accept("web-1", 90))
	must(t, r.Accept("web-1", 70))
	r.restart(t, 0)
	for _, old := range []int64{90, 89, 70} {
		if err := r.Accept("web-1", old); !errors.Is(err, identity.ErrReplay) {
			t.Errorf("%d after a restart: %v", old, err)
		}
	}
	must(t, r.Accept("web-1", 91))
}

// TestConcurrent checks nodes in, publishes and asks, all at once; the race detector watches.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 5 {
		r.join(t, fmt.Sprint("web-", i))
	}
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			name := fmt.Sprint("web-", i)
			for j := range 20 {
				_, err := r.CheckIn(t.Context(), report.CheckIn{Node: name, Bundle: current, Run: report.Summary{ID: fmt.Sprint(j)}})
				err = errors.Join(err, r.PutRuns(t.Context(), name, []report.Run{{ID: fmt.Sprint(j), Node: name, Error: "x"}}))
				channel := note()
				channel.Channel = name
				err = errors.Join(err, r.PutChannels(t.Context(), []report.ChannelNote{channel, note()}))
				_, asked := r.Service.Status(t.Context(), 10)
				if err := errors.Join(err, asked); err != nil {
					t.Error(err)
				}
				r.Tick(t.Context())
			}
		})
	}
	wg.Wait()
}

// TestFigures parses what Prometheus is given, and asks for health and readiness: not ready when the store is gone.
func TestFigures(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.listen(t)
	key, err := identity.NewNodeKey()
	must(t, err)
	agent, _, err := r.agent(t, s.URL, "web-1", key)
	must(t, err)
	_, err = agent.CheckIn(t.Context(), report.CheckIn{Node: "web-1", Bundle: current})
	must(t, err)
	r.publish(t, note())
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool(), ServerName: identity.ServerName}}}
	defer client.CloseIdleConnections()
	get := func(path string) (int, io.Reader) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+path, nil)
		must(t, err)
		resp, err := client.Do(req)
		must(t, err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, strings.NewReader(string(data))
	}
	_, text := get("/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	must(t, err)
	value := func(name string, labels ...string) float64 {
		for _, m := range families[name].GetMetric() {
			match := true
			for i := 0; i+1 < len(labels); i += 2 {
				found := false
				for _, l := range m.GetLabel() {
					found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
				}
				match = match && found
			}
			if match {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
		t.Errorf("%s %v is not there", name, labels)
		return -1
	}
	for _, c := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "vigo_report_checkins_total", nil}, {1, "vigo_report_nodes", []string{"presence", "live"}}, {0, "vigo_report_nodes", []string{"presence", "stale"}},
		{1, "vigo_report_nodes_digest", []string{"digest", "current"}}, {1, "vigo_report_nodes_compliance", []string{"compliance", "never"}},
		{0, "vigo_report_channel_failing", []string{"channel", "stable"}}, {1, "vigo_report_request_seconds", []string{"route", "POST /v1/checkin", "status", "200"}},
		{0, "vigo_report_store_failures_total", nil},
	} {
		if got := value(c.name, c.labels...); got != c.want {
			t.Errorf("%s %v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, _ := get(path); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	must(t, r.DB.Close())
	if status, _ := get("/readyz"); status != http.StatusServiceUnavailable {
		t.Errorf("ready without a store: %d", status)
	}
	if status, _ := get("/healthz"); status != http.StatusOK {
		t.Errorf("alive without a store: %d", status)
	}
	refusedAs(t, "a run while the store is closed", agent.Put(t.Context(), report.Run{ID: "1", Node: "web-1"}), api.ErrStore)
}

// TestRun marks that the service listens, until the very end.
func TestRun(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, r.Run(ctx))
	var mark alive
	must(t, r.DB.Note(t.Context(), aliveKey, &mark))
	if !mark.At.Equal(noon) {
		t.Errorf("it listened until %s", mark.At)
	}
}
