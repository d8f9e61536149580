//go:build linux

package fleet_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resources"
	"vigo.dev/test/fleet"
)

var update = flag.Bool("update", false, "write docs/conformance.md")

const conformance = "../../docs/conformance.md"

// TestEveryTypeHasACase: a type that nobody tried on a machine is not finished.
func TestEveryTypeHasACase(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for _, c := range readCases(t) {
		kind, _, _ := strings.Cut(c.name, "-")
		have[kind] = true
		if _, known := resources.Registry().Kind(kind); !known {
			t.Errorf("%s/%s.yaml is for no type", typeCases, c.name)
		}
	}
	doc, err := os.ReadFile(conformance)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range resources.Registry().Names() {
		if !have[name] {
			t.Errorf("%s/%s.yaml is missing", typeCases, name)
		}
		if !strings.Contains(string(doc), "| ["+name+"](") {
			t.Errorf("%s is not in docs/conformance.md: run the test below with -update on a machine that can boot others", name)
		}
	}
}

// TestTypes has a booted machine converge, stay as it is, be repaired and be undone, for every resource type; and the dry run
// before each say exactly what happened then.
func TestTypes(t *testing.T) {
	fleet.Require(t)
	t.Parallel() // it waits as much as it works
	bin := os.Getenv("VIGO_BIN")
	if bin == "" {
		t.Fatal("set VIGO_BIN to the folder of the built programs (make build)")
	}
	cases := readCases(t)
	rows := make([]verdict, len(cases))
	for i, c := range cases {
		rows[i] = verdict{name: c.name, kernel: c.Kernel, init: c.Init, played: c.Played, converges: no, again: no, dry: no, repaired: no, undone: no, cannot: c.Cannot}
	}
	try := func(kernel, init string, start func() machine) {
		wanted := on(cases, kernel, init)
		if len(wanted) == 0 {
			return
		}
		built := build(t, programsOf(wanted))
		m := start()
		for name, path := range built {
			m.CopyIn(t, path, "/usr/local/bin/"+name, 0o755)
		}
		m.CopyIn(t, filepath.Join(bin, "vigo-agent"), "/usr/local/bin/vigo-agent", 0o755)
		if packages := packagesOf(wanted); len(packages) > 0 {
			m.MustExec(t, append([]string{"apt-get", "-qq", "-y", "install"}, packages...)...)
		}
		for _, c := range wanted {
			row := &rows[slices.IndexFunc(rows, func(r verdict) bool { return r.name == c.name })]
			t.Run(c.name, func(t *testing.T) { (&trial{typeCase: c, m: m, row: row}).run(t) })
		}
	}
	for _, init := range []string{"", "openrc", "runit", "sysv"} {
		try("", init, func() machine {
			return fleet.Start(t, fleet.Options{Name: "types", Network: fleet.NewNetwork(t), Init: init})
		})
	}
	try(ownKernel, "", func() machine {
		return fleet.StartVM(t, fleet.VMOptions{Name: "types", Arguments: []string{"security=apparmor"}})
	})
	table := tableOf(rows)
	t.Log("\n" + table)
	if slices.ContainsFunc(rows, func(r verdict) bool { return !r.tried && r.cannot == "" }) {
		return // -run asked for some of them
	}
	checkDoc(t, table)
}

// checkDoc holds the table in the documentation against what was seen.
func checkDoc(t *testing.T, table string) {
	t.Helper()
	text := `# Every resource type on a booted machine

Made by ` + "`go test ./test/fleet -run TestTypes -update`" + ` and checked by the same test. Each type is tried on a Debian 12 that was booted for it: a
dry run, a run, a second run, a change made by hand, a repair, and the declaration of the opposite. The machine is a container with a systemd
of its own, or another init system where the table says so, on the kernel of the computer; or, where that cannot show it, one with a kernel of
its own, Debian's user-mode-linux 6.1.
What the host looks like is judged by other programs than Vigo. The programs that Vigo drives are real, from packages of Debian or built from
their sources; where the table says played, a script stands in for one that cannot be had, and the row shows only that Vigo keeps to the same
files, arguments and exit codes. For kubernetes_manifest it is apiextensions-apiserver with etcd, which has server-side apply and definitions of
kinds, but none of the kinds that Kubernetes brings: all of kube-apiserver takes too long to build. The cases are in test/fleet/testdata/types.

` + table
	if *update && !t.Failed() {
		if err := os.WriteFile(conformance, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(conformance)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), text); diff != "" {
		t.Errorf("docs/conformance.md says something else (-doc +seen):\n%s", diff)
	}
}

// trial is a case that is being tried.
type trial struct {
	typeCase
	m   machine
	row *verdict
}

func (c *trial) run(t *testing.T) {
	c.row.tried = true
	if c.Setup != "" {
		c.m.MustExec(t, "/bin/sh", "-ec", c.Setup)
	}
	present, absent := c.write(t, "present"), ""
	if !c.Absent.IsZero() {
		absent = c.write(t, "absent")
	}
	if c.holds(t, c.Check) {
		t.Fatalf("before the first run this is true already: %s", c.Check)
	}
	said := c.apply(t, present, true)
	if c.holds(t, c.Check) {
		t.Error("the dry run changed the machine")
	}
	did := c.apply(t, present, false)
	exact := c.same(t, "the first run", said, did)
	c.must(t, &c.row.converges, c.ended(t, did, report.Changed) && c.checked(t, c.Check))
	c.must(t, &c.row.again, c.quiet(t, c.apply(t, present, false)))

	c.m.MustExec(t, "/bin/sh", "-ec", c.Drift)
	if c.holds(t, c.Check) {
		t.Errorf("after the change by hand this is still true: %s", c.Check)
	}
	said = c.apply(t, present, true)
	did = c.apply(t, present, false)
	exact = c.same(t, "the repair", said, did) && exact
	c.must(t, &c.row.repaired, c.ended(t, did, report.Corrected) && c.checked(t, c.Check) && c.quiet(t, c.apply(t, present, false)))

	c.row.undone = na
	if absent != "" {
		said = c.apply(t, absent, true)
		did = c.apply(t, absent, false)
		exact = c.same(t, "the run that undoes it", said, did) && exact
		c.must(t, &c.row.undone, c.ended(t, did, report.Changed) && c.checked(t, c.Gone) && c.quiet(t, c.apply(t, absent, false)))
	}
	c.must(t, &c.row.dry, exact)
}

func (c *trial) must(t *testing.T, cell *string, good bool) {
	t.Helper()
	if *cell = yes; !good {
		*cell = no
		t.Fail()
	}
}

// write puts a policy on the machine and returns its folder.
func (c *trial) write(t *testing.T, which string) string {
	t.Helper()
	resources := c.Present
	if which == "absent" {
		resources = c.Absent
	}
	dir := "/srv/types/" + c.name + "/" + which
	for path, text := range c.policy(t, resources) {
		c.m.WriteFile(t, dir+"/"+path, text, 0o644)
	}
	return dir
}

// apply converges the machine once.
func (c *trial) apply(t *testing.T, policy string, dryRun bool) report.Run {
	t.Helper()
	out, stderr, code, err := c.m.Exec(t.Context(), "vigo-agent", "apply", "--policy", policy, "--state", "/srv/types/"+c.name+"/state",
		"--dry-run="+fmt.Sprint(dryRun), "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var run report.Run
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		t.Fatalf("exit code %d: %v\n%s%s", code, err, out, stderr)
	}
	return run
}

// holds runs one of the scripts that judge.
func (c *trial) holds(t *testing.T, script string) bool {
	t.Helper()
	_, _, code, err := c.m.Exec(t.Context(), "/bin/sh", "-ec", script)
	if err != nil {
		t.Fatal(err)
	}
	return code == 0
}

// checked is holds for what must be true.
func (c *trial) checked(t *testing.T, script string) bool {
	t.Helper()
	out, stderr, code, err := c.m.Exec(t.Context(), "/bin/sh", "-exc", script)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		t.Errorf("this is not true: %s\n%s%s", script, out, stderr)
	}
	return code == 0
}

// ended is whether a run changed something, and all it did ended in one outcome.
func (c *trial) ended(t *testing.T, run report.Run, want report.Outcome) bool {
	t.Helper()
	good := run.Error == "" && len(run.Results) > 0
	for _, r := range run.Results {
		good = good && (r.Outcome == want || len(r.Changes) == 0 && r.Outcome == report.OK) && !strings.HasPrefix(r.Refresh, "failed")
	}
	if !good {
		t.Errorf("want %s, got %s", want, brief(run))
	}
	return good
}

func (c *trial) quiet(t *testing.T, run report.Run) bool {
	t.Helper()
	if !run.Quiet() {
		t.Errorf("nothing is left to do, and yet: %s", brief(run))
	}
	return run.Quiet()
}

// same is whether a dry run said what was done then, resource by resource and field by field. What it called known after
// apply only has to have changed.
func (c *trial) same(t *testing.T, which string, said, did report.Run) bool {
	t.Helper()
	diff := cmp.Diff(changesOf(said), changesOf(did), cmp.Comparer(func(a, b change.Change) bool {
		if a.Field == b.Field && (a.To == change.Unknown || b.To == change.Unknown) {
			return true
		}
		return a.String() == b.String()
	}))
	if diff != "" {
		t.Errorf("%s is not what the dry run said (-said +did):\n%s", which, diff)
	}
	return diff == ""
}

func changesOf(run report.Run) map[string][]change.Change {
	all := map[string][]change.Change{}
	for _, r := range run.Results {
		all[r.ID] = r.Changes
	}
	return all
}

func brief(run report.Run) string {
	text, err := json.MarshalIndent(run, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
