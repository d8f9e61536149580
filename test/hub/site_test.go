package hub

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/test/programs"
	"vigo.dev/test/self"
)

// A fleet is a centre, hubs and nodes. The policy writes its version into one file.
type fleet struct {
	t       *testing.T
	dir     string
	repo    *gitsourcetest.Repo
	version int
	centre  *place
	up      *programs.Process
	address string // host:port of the centre
	nodes   []*node
}

// A node is a host that enrolled somewhere.
type node struct {
	name, root string
	at         *place
	agent      *programs.Process
	removals   int // how often the test has removed the file
}

// newFleet starts the centre, listening on a host of its place, with further arguments.
func newFleet(t *testing.T, centre *place, host string, args ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), repo: gitsourcetest.New(t), centre: centre}
	f.commit()
	f.up = centre.start(t, self.Command(t, "vigo", append([]string{"up", "--data", f.path("centre"), "--git", f.repo.Dir, "--listen", host + ":0", "--poll", "100ms"}, args...)...))
	f.address = f.up.Says(t, "acme on https://", patience)
	return f
}

func (f *fleet) path(elem ...string) string {
	return filepath.Join(append([]string{f.dir}, elem...)...)
}

// commit publishes the next version of the policy.
func (f *fleet) commit() {
	f.version++
	f.repo.Put(map[string]string{
		"fleet.yaml":               "kind: Fleet\nname: acme\ninterval: 1s\nchannels:\n  stable: {}\n",
		"roles/all.yaml":           "kind: Role\nabout: All.\nmodules: [motd]\n",
		"modules/motd/module.yaml": fmt.Sprintf("kind: Module\nabout: Words.\nresources:\n  - file: /motd\n    content: version %d\n", f.version),
	}).Commit(fmt.Sprint("version ", f.version))
}

func (f *fleet) vigo(args ...string) *exec.Cmd {
	cmd := self.Command(f.t, "vigo", args...)
	cmd.Env = append(cmd.Env, "VIGO_CONFIG="+f.path("centre", "operator.json"))
	return cmd
}

// startHub starts a hub whose uplink is a server, and enrols it first when it is not.
func (f *fleet) startHub(at *place, name, listen, server string, more ...string) (p *programs.Process, address string) {
	f.t.Helper()
	p = at.start(f.t, f.hub(name, listen, server, more...))
	return p, p.Says(f.t, name+" of fleet acme on https://", patience)
}

// hub is the command that runs a hub.
func (f *fleet) hub(name, listen, server string, more ...string) *exec.Cmd {
	f.t.Helper()
	args := append([]string{"hub", "--data", f.path(name), "--listen", listen, "--poll", "200ms"}, more...)
	if _, err := os.Stat(f.path(name, "hub.json")); err != nil {
		if err := os.WriteFile(f.path(name+".token"), []byte(f.centre.run(f.t, f.vigo("token", "create", "--hub", "--names", name))), 0o600); err != nil {
			f.t.Fatal(err)
		}
		args = append(args, "--name", name, "--server", "https://"+server, "--token-file", f.path(name+".token"))
	}
	return self.Command(f.t, "vigo", args...)
}

// enrol makes a host that enrols at a server.
func (f *fleet) enrol(at *place, name, server string) *node {
	f.t.Helper()
	n := &node{name: name, root: f.path(name), at: at}
	if err := os.MkdirAll(n.root, 0o755); err != nil {
		f.t.Fatal(err)
	}
	token := f.centre.run(f.t, f.vigo("token", "create", "--names", name))
	at.run(f.t, self.Command(f.t, "vigo-agent", "--root", n.root, "enroll", "--server", "https://"+server, "--token", token, "--node", name))
	return n
}

// join enrols a host and starts its agent.
func (f *fleet) join(at *place, name, server string) *node {
	f.t.Helper()
	n := f.enrol(at, name, server)
	n.agent = at.start(f.t, self.Command(f.t, "vigo-agent", "--root", n.root, "run"))
	f.nodes = append(f.nodes, n)
	return n
}

func (n *node) motd() string {
	data, err := os.ReadFile(filepath.Join(n.root, "motd"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// spoil removes the file, and waits until the agent has put it back.
func (n *node) spoil(t *testing.T) {
	t.Helper()
	before := n.motd()
	n.removals++
	if err := os.Remove(filepath.Join(n.root, "motd")); err != nil {
		t.Fatal(err)
	}
	programs.AwaitNil(t, n.name+" to put its file back", patience, func() error {
		if now := n.motd(); now != before {
			return fmt.Errorf("it holds %q", now)
		}
		return nil
	})
}

// converged waits until some nodes have the newest version.
func (f *fleet) converged(nodes ...*node) {
	f.t.Helper()
	for _, n := range nodes {
		programs.AwaitNil(f.t, fmt.Sprintf("version %d on %s", f.version, n.name), patience, func() error {
			if got := n.motd(); got != fmt.Sprint("version ", f.version) {
				return fmt.Errorf("it has %q", got)
			}
			return nil
		})
	}
}

// status waits until the status of the centre is as it should be.
func (f *fleet) status(what string, so func(report.Status) error) {
	f.t.Helper()
	programs.AwaitNil(f.t, what, patience, func() error {
		out, err := f.centre.try(f.vigo("status", "-o", "json"))
		var st report.Status
		if jsonErr := json.Unmarshal([]byte(out), &st); jsonErr != nil {
			return errors.Join(jsonErr, err)
		}
		return so(st)
	})
}

// well is a status in which all nodes and hubs are heard of and current, and nothing waits on the hubs.
func (f *fleet) well(st report.Status) error {
	if st.Presences.Live != len(f.nodes) || len(st.Problems) != 0 || len(st.Channels) != 1 || st.Channels[0].Cur != len(f.nodes) {
		return fmt.Errorf("%d live; channels %+v; problems %+v", st.Presences.Live, st.Channels, st.Problems)
	}
	for _, h := range st.Hubs {
		if h.Spooled != 0 || h.Presence != report.Live {
			return fmt.Errorf("hub %+v", h)
		}
	}
	return nil
}

// delivered is a status with all nodes current and nothing waiting on the hubs, whatever the line makes of presence.
func (f *fleet) delivered(st report.Status) error {
	if len(st.Channels) != 1 || st.Channels[0].Cur != len(f.nodes) {
		return fmt.Errorf("channels %+v", st.Channels)
	}
	for _, h := range st.Hubs {
		if h.Spooled != 0 {
			return fmt.Errorf("hub %+v", h)
		}
	}
	return nil
}

var written = regexp.MustCompile(`(?m)^([-+])version (\d+)`)

// arrived stops the centre and compares what it has kept with what must have happened: on each node, every report arrived
// exactly once, since each change of the file begins with what the change before it left, from none to the last version;
// and no change went back.
func (f *fleet) arrived() {
	f.t.Helper()
	for _, n := range f.nodes {
		programs.AwaitNil(f.t, "the last report of "+n.name, patience, func() error { return f.reported(n.name) })
	}
	f.up.End(syscall.SIGTERM)
	db, err := sqlstore.Open(f.t.Context(), f.path("centre", "report.db"), sqlstore.Options{})
	if err != nil {
		f.t.Fatal(err)
	}
	defer db.Close()
	total := 0
	for _, n := range f.nodes {
		runs, err := db.Runs(f.t.Context(), n.name, 100_000, false)
		if err != nil {
			f.t.Fatal(err)
		}
		slices.SortFunc(runs, func(a, b report.Run) int { return cmp.Compare(a.ID, b.ID) })
		last, fromNothing := 0, 0
		for _, r := range runs {
			from, to, changed := versions(r)
			if !changed {
				continue
			}
			total++
			switch {
			case from == 0:
				fromNothing++
			case from != last:
				f.t.Errorf("%s: run %s goes from version %d, the one before it ended with %d: a report is missing or twice", n.name, r.ID, from, last)
			}
			if to < last {
				f.t.Errorf("%s: run %s went back from version %d to %d", n.name, r.ID, last, to)
			}
			last = to
		}
		if last != f.version || fromNothing != 1+n.removals {
			f.t.Errorf("%s: the reports end with version %d, want %d; %d begin with no file, want %d", n.name, last, f.version, fromNothing, 1+n.removals)
		}
	}
	f.t.Logf("%d versions; %d reports of changes arrived from %d nodes, each once", f.version, total, len(f.nodes))
}

// reported is nil when the report of the newest version of a node has arrived. What a hub says of its spool may be older than that; and
// one that a hub kept when it was killed may arrive after it, and be listed before it.
func (f *fleet) reported(node string) error {
	out, err := f.centre.try(f.vigo("node", node, "-o", "json"))
	if err != nil {
		return err
	}
	var detail report.NodeDetail
	if err := json.Unmarshal([]byte(out), &detail); err != nil {
		return err
	}
	newest := 0
	for _, r := range detail.Runs {
		if _, to, changed := versions(r); changed {
			newest = max(newest, to)
		}
	}
	if newest != f.version {
		return fmt.Errorf("the newest is of version %d, want %d", newest, f.version)
	}
	return nil
}

// versions is what a run made of the file.
func versions(r report.Run) (from, to int, changed bool) {
	for _, result := range r.Results {
		for _, c := range result.Changes {
			for _, m := range written.FindAllStringSubmatch(c.Diff, -1) {
				n, err := strconv.Atoi(m[2])
				if err != nil {
					continue
				}
				changed = true
				if m[1] == "-" {
					from = n
				} else {
					to = n
				}
			}
		}
	}
	return from, to, changed
}
