//go:build linux

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
)

const (
	agentPath = "/usr/local/bin/vigo-agent"
	stateDir  = "/var/lib/vigo-agent"
)

// node is a machine of the fleet.
type node struct {
	*fleet.Machine
	site   *site
	server string // that it enrols at; empty: that of the site
}

// boot starts machines with these names; nothing of Vigo is on them.
func (s *site) boot(t *testing.T, names ...string) []*node {
	t.Helper()
	options := make([]fleet.Options, len(names))
	for i, name := range names {
		options[i] = fleet.Options{Name: name, Network: s.net}
	}
	var nodes []*node
	for _, m := range fleet.StartAll(t, options...) {
		nodes = append(nodes, &node{Machine: m, site: s})
	}
	return nodes
}

// enrol does by hand what an installer would: the program, its unit, a token, and the service is on.
func (n *node) enrol(t *testing.T, labels ...string) {
	t.Helper()
	create := []string{n.site.vigoBin(), "token", "create", "--names", n.Name()}
	for _, label := range labels {
		create = append(create, "--label", label)
	}
	token := strings.TrimSpace(n.site.run(t, create...))
	n.CopyIn(t, filepath.Join(n.site.bin, "vigo-agent"), agentPath, 0o755)
	n.WriteFile(t, "/etc/systemd/system/vigo-agent.service", n.MustExec(t, agentPath, "unit", "--binary", agentPath), 0o644)
	n.MustExec(t, agentPath, "enroll", "--server", "https://"+cmp.Or(n.server, n.site.addr), "--token", token)
	n.MustExec(t, "systemctl", "enable", "--now", "vigo-agent")
}

// shell runs a script on the machine and returns what it prints, without the last line break.
func (n *node) shell(t *testing.T, script string) string {
	t.Helper()
	return strings.TrimRight(n.MustExec(t, "sh", "-c", script), "\n")
}

// check is something the machine says of itself, and what it must say.
type check struct{ script, want string }

// is runs checks on the machine. None of them involves Vigo.
func (n *node) is(t *testing.T, checks ...check) {
	t.Helper()
	for _, c := range checks {
		out, stderr, code, err := n.Exec(t.Context(), "sh", "-c", c.script)
		if err != nil {
			t.Fatal(err)
		}
		if out = strings.TrimRight(out, "\n"); out != c.want || code != 0 {
			t.Errorf("%s: %s\nsays  %q (exit code %d) %s\nwants %q", n.Name(), c.script, out, code, stderr, c.want)
		}
	}
}

// becomes waits until a check holds.
func (n *node) becomes(t *testing.T, c check) {
	t.Helper()
	eventually(t, n.Name()+": "+c.script, func(ctx context.Context) error {
		out, stderr, code, err := n.Exec(ctx, "sh", "-c", c.script)
		if out = strings.TrimRight(out, "\n"); err == nil && (out != c.want || code != 0) {
			err = fmt.Errorf("it says %q (exit code %d) %s, want %q", out, code, stderr, c.want)
		}
		return err
	})
}

// detail is what `vigo node` shows.
func (n *node) detail(t *testing.T) report.NodeDetail {
	t.Helper()
	var d report.NodeDetail
	if err := n.site.vigo(t.Context(), &d, "node", n.Name()); err != nil {
		t.Fatal(err)
	}
	return d
}

// await asks `vigo node` until it is as wanted.
func (n *node) await(t *testing.T, what string, wanted func(report.NodeDetail) error) report.NodeDetail {
	t.Helper()
	var d report.NodeDetail
	eventually(t, n.Name()+": "+what, func(ctx context.Context) error {
		d = report.NodeDetail{}
		if err := n.site.vigo(ctx, &d, "node", n.Name()); err != nil {
			return err
		}
		return wanted(d)
	})
	return d
}

// quiet waits for a run begun after a moment that found everything as declared, by the bundle that is published now.
func (n *node) quiet(t *testing.T, after time.Time) report.NodeDetail {
	t.Helper()
	return n.await(t, "a run with nothing to do", func(d report.NodeDetail) error {
		c := d.Run.Counts
		if d.Digest != report.DigestCurrent || !d.Run.Started.After(after) || c.OK == 0 || c.OK != c.Total() || c.Refreshed != 0 {
			return fmt.Errorf("%s bundle, run of %s: %+v %s; %s", d.Digest, d.Run.Started.Format(time.TimeOnly), c, d.Run.Error, d.Reason)
		}
		return nil
	})
}

// result waits for a run that has something to say of a resource, in a given way, and returns it.
func (n *node) result(t *testing.T, id string, outcome report.Outcome) report.Result {
	t.Helper()
	var found report.Result
	n.await(t, id+" "+string(outcome), func(d report.NodeDetail) error {
		for _, run := range d.Runs {
			for _, r := range run.Results {
				if r.ID == id && r.Outcome == outcome {
					found = r
					return nil
				}
			}
		}
		text, _ := json.Marshal(d.Runs)
		return fmt.Errorf("it has only %s", text)
	})
	return found
}

// status is what vigo-agent says on the machine itself.
func (n *node) status(t *testing.T) agent.Status {
	t.Helper()
	var st agent.Status
	if err := json.Unmarshal([]byte(n.MustExec(t, agentPath, "status", "-o", "json")), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// spooled lists the IDs of the runs that wait on the machine, oldest first.
func (n *node) spooled(t *testing.T) []string {
	t.Helper()
	var ids []string
	for line := range strings.Lines(n.shell(t, "ls "+stateDir+"/spool | sed -n 's/^[0-9]*-\\(.*\\)\\.json$/\\1/p'")) {
		ids = append(ids, strings.TrimSpace(line))
	}
	return ids
}

// arrived lists the IDs of the runs in the history of the service, oldest first.
func arrived(d report.NodeDetail) []string {
	var ids []string
	for _, run := range slices.Backward(d.Runs) {
		ids = append(ids, run.ID)
	}
	return ids
}
