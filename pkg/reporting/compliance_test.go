package reporting

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/report"
)

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
		"pinned":   {report.CheckIn{Bundle: older, Pointer: "1.7", Pinned: true}, report.DigestBehind, "behind"},
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
			if n := r.node(t, "web-1"); n.Pinned != c.in.Pinned || c.in.Pinned && !strings.Contains(r.status(t).Problems[0].Text, "is pinned to") {
				t.Errorf("it is %+v, %+v", n, r.status(t).Problems)
			}
		})
	}
}
