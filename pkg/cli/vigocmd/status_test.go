package vigocmd

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/cli"
	"vigo.dev/pkg/report"
)

// busy is a fleet in which something of everything is the case.
func busy() report.Status {
	now := time.Now().Truncate(24 * time.Hour).Add(12 * time.Hour)
	commit, candidate := "4f1c2a9000000000000000000000000000000000", "b77e001000000000000000000000000000000000"
	return report.Status{
		Fleet: "acme", Now: now, Rate: 333.2,
		Presences:   report.Presences{Total: 10000, Live: 9987, Late: 8, Stale: 4, Missing: 1},
		Compliances: report.Compliances{OK: 9951, Repaired: 21, Failed: 15, Drift: 13, Changed: 21},
		Worst:       []report.Worst{{Module: "sshd", Nodes: 9}, {Module: "nginx", Nodes: 4}},
		Channels: []report.Channel{
			{ChannelNote: report.ChannelNote{Channel: "edge", Commit: commit, Pointer: "3.7", Issued: now.Add(-3 * time.Hour)}, Nodes: 2000, Cur: 2000},
			{ChannelNote: report.ChannelNote{Channel: "production", Commit: commit, Candidate: "sha256:77e001", Trial: candidate, Pointer: "3.1412", Issued: now.Add(-2 * time.Minute),
				Rollout: "early 10% soaking 6m/10m, 998/1000 healthy"}, Nodes: 8000, Cur: 6990, Cand: 998, Behind: 12},
		},
		Reboots: report.RebootCounts{Now: 3, Overdue: 1, Waiting: 12},
		Hubs:    []report.HubStatus{{Name: "ams-1", Presence: report.Live}, {Name: "plant-3", Presence: report.Stale, Seen: now.Add(-2 * time.Minute), Nodes: 412}},
		Problems: []report.Problem{
			{Kind: "failed", Node: "web-17", Channel: "production", Text: `service:nginx: exit 1 "bind 0.0.0.0:80"`, First: now.Add(-118 * time.Minute), Count: 3, Commit: candidate},
			{Kind: "stale", Node: "db-03", Text: "last seen 2m10s ago (interval 30s)", First: now.Add(-130 * time.Second), Hub: "ams-1"},
		},
		ProblemCount: 2,
	}
}

func shown(st report.Status, wide bool) string {
	var b bytes.Buffer
	printStatus(&cli.Env{Stdout: &b}, st, wide)
	return b.String()
}

// TestStatusShown is the picture of a fleet that people learn to read.
func TestStatusShown(t *testing.T) {
	t.Parallel()
	st := busy()
	want := `FLEET acme   9,987/10,000 live  8 late  4 stale  1 missing      reports 333/s  pointer 3.1412 (2m old)
COMPLIANCE   9,951 ok  21 changed  21 repaired/1h  15 failed  13 drift       worst: sshd 9 nodes, nginx 4
CHANNEL     STABLE   CANDIDATE  ROLLOUT                                     NODES cur/cand/behind
edge        4f1c2a9  -          -                                           2,000/-/0
production  4f1c2a9  b77e001    early 10% soaking 6m/10m, 998/1000 healthy  6,990/998/12
HUBS   1/2 ok   plant-3 DARK 2m (412 nodes)
REBOOTS   3 now  1 of them overdue  12 wait
PROBLEMS
  web-17  failed  service:nginx: exit 1 "bind 0.0.0.0:80"  3x, first ` + st.Problems[0].First.Local().Format("15:04") + `   b77e001
  db-03   stale   last seen 2m10s ago (interval 30s)       hub ams-1
`
	if diff := cmp.Diff(want, shown(st, false)); diff != "" {
		t.Error(diff)
	}
}

// A commit with several mistakes is one line, which says that it is not all.
func TestStatusSaysHowMuchOfAProblemIsNotShown(t *testing.T) {
	t.Parallel()
	st := busy()
	st.Problems = []report.Problem{{Kind: "channel", Channel: "edge", Text: "a.yaml:1:1: bad\nb.yaml:2:2: bad\nc.yaml:3:3: bad\n"}}
	st.ProblemCount = 1
	if got := shown(st, false); !strings.Contains(got, "  edge  channel  a.yaml:1:1: bad (and 2 more lines: -o wide)\n") {
		t.Errorf("got\n%s", got)
	}
	if got := shown(st, true); !strings.Contains(got, "a.yaml:1:1: bad\n      b.yaml:2:2: bad\n      c.yaml:3:3: bad\n") {
		t.Errorf("wide, got\n%s", got)
	}
}

// TestStatusFits: however bad it is, it fits on a screen and says how much more there is.
func TestStatusFits(t *testing.T) {
	t.Parallel()
	st := busy()
	st.Amnesty = st.Now
	for i := range 30 {
		c := st.Channels[0]
		c.Channel, c.Waiting = fmt.Sprint("channel-", i), &report.Waiting{Digest: "sha256:0123456789abcdef", Needs: 2, Missing: 1}
		st.Channels = append(st.Channels, c)
		st.Hubs = append(st.Hubs, report.HubStatus{Name: fmt.Sprint("hub-", i), Presence: report.Missing})
		st.Problems = append(st.Problems, report.Problem{Kind: "failed", Node: fmt.Sprint("node-", i), Text: strings.Repeat("long ", 100) + "\nand\tmore"})
	}
	st.ProblemCount = 400
	out := shown(st, false)
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != statusLines || !strings.Contains(out, "and 24 more channels") || !strings.Contains(lines[len(lines)-1], " more; see") {
		t.Errorf("%d lines:\n%s", len(lines), out)
	}
	for _, line := range lines {
		if len([]rune(line)) > 260 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	if wide := shown(st, true); !strings.Contains(wide, "node-29") || !strings.Contains(wide, "channel-29") || !strings.Contains(wide, "\n      and more") {
		t.Errorf("not everything is there:\n%s", wide)
	}
}

// TestStatusNoRoom: what a store that is full means comes first.
func TestStatusNoRoom(t *testing.T) {
	t.Parallel()
	st := busy()
	st.Problems = []report.Problem{{Kind: "store", Text: "no room: refused are reports", First: st.Now.Add(-time.Hour)}}
	st.ProblemCount = 1
	if out := shown(st, false); !strings.Contains(out, "\n  service  store  no room: refused are reports  since ") {
		t.Error(out)
	}
}
