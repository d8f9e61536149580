package kill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/report"
	"vigo.dev/test/programs"
)

// site is a policy that is applied to this machine without a server; all it touches is in a folder of the test.
type site struct {
	t      *testing.T
	dir    string // what the policy manages
	policy string
	state  string
}

func newSite(t *testing.T, resources string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), policy: t.TempDir(), state: filepath.Join(t.TempDir(), "state")}
	s.declare(resources)
	return s
}

// declare writes the policy; $D stands for the folder.
func (s *site) declare(resources string) {
	s.t.Helper()
	for name, text := range map[string]string{
		"fleet.yaml":               "kind: Fleet\nname: lab\nchannels:\n  stable: {}\n",
		"roles/all.yaml":           "kind: Role\nwhen: \"true\"\nmodules:\n  - site\n",
		"modules/site/module.yaml": "kind: Module\nabout: A site.\nresources:\n" + strings.ReplaceAll(resources, "$D", s.dir),
	} {
		path := filepath.Join(s.policy, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *site) start() *process {
	s.t.Helper()
	return start(s.t, nil, "vigo-agent", "--state", s.state, "apply", "--policy", s.policy, "-o", "json")
}

// apply applies the policy to the end; some resources may fail.
func (s *site) apply() report.Run {
	s.t.Helper()
	p := s.start()
	out, _ := p.wait(s.t) // how it ended is in the run
	var run report.Run
	if err := json.Unmarshal([]byte(out), &run); err != nil {
		s.t.Fatalf("%v: %s%s", err, out, p.stderr)
	}
	return run
}

// lines is how many lines a file of the site has; it may not be there.
func (s *site) lines(name string) int {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}

const restart = `  - exec: restart
    command: [sh, -c, "echo restarted >> $D/restarts"]
    refresh_only: true
`

// TestKillBetweenAChangeAndItsRestart kills the agent at the one moment that matters: the configuration is written, the
// service is not restarted. A gate between the two, a program that waits for the test, makes the moment certain.
func TestKillBetweenAChangeAndItsRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, `  - file: $D/app.conf
    content: "workers: 4\n"
    notify: exec:restart
  - exec: gate
    command: [sh, -c, "echo reached > $D/reached; cat $D/never"]
    unless: [test, "!", -e, "$D/never"]
    requires: file:$D/app.conf
    before: exec:restart
`+restart)
	for _, name := range []string{"reached", "never"} {
		if err := unix.Mkfifo(filepath.Join(s.dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := s.start()
	if _, err := os.ReadFile(filepath.Join(s.dir, "reached")); err != nil { // waits for the gate
		t.Fatal(err)
	}
	p.kill()
	if data, err := os.ReadFile(filepath.Join(s.dir, "app.conf")); err != nil || string(data) != "workers: 4\n" {
		t.Fatalf("the configuration holds %q, %v", data, err)
	}
	if n := s.lines("restarts"); n != 0 {
		t.Fatalf("%d restarts before the kill", n)
	}
	s.openGate()
	run := s.apply()
	if run.Counts.Refreshed != 1 || run.Counts.Changed+run.Counts.Corrected+run.Counts.Failed != 0 || s.lines("restarts") != 1 {
		t.Errorf("the run after the kill: %+v; %d restarts, want 1", run, s.lines("restarts"))
	}
	if run := s.apply(); !run.Quiet() || s.lines("restarts") != 1 {
		t.Errorf("the run after that: %+v; %d restarts, want 1", run, s.lines("restarts"))
	}
}

// openGate lets the program of a killed agent end, and takes the gate away.
func (s *site) openGate() {
	s.t.Helper()
	gate := filepath.Join(s.dir, "never")
	f, err := os.OpenFile(gate, os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err == nil {
		err = f.Close()
	}
	if err != nil && !errors.Is(err, unix.ENXIO) { // it may not have come to open it
		s.t.Fatal(err)
	}
	if err := os.Remove(gate); err != nil {
		s.t.Fatal(err)
	}
}

// TestKillNeverLosesARestart kills at random moments while a configuration changes every round. Whenever a run has come to its
// end, the service has been restarted since the last change.
func TestKillNeverLosesARestart(t *testing.T) {
	t.Parallel()
	random := programs.Chance(t)
	declaration := func(n int) string {
		return fmt.Sprintf("  - file: $D/app.conf\n    content: \"workers: %d\\n\"\n    notify: exec:restart\n", n) + `  - exec: restart
    command: [sh, -c, "cat $D/app.conf > $D/running"]
    refresh_only: true
`
	}
	s := newSite(t, declaration(0))
	began := time.Now()
	s.apply()
	whole := time.Since(began)
	kills := 0
	for round := range programs.Rounds(t) {
		s.declare(declaration(round + 1))
		if s.start().killed(time.Duration(random.Int64N(int64(whole)))) {
			kills++
		}
		if random.IntN(2) == 0 {
			continue // another change comes before the next whole run
		}
		run := s.apply()
		want := fmt.Sprintf("workers: %d\n", round+1)
		for _, name := range []string{"app.conf", "running"} {
			if data, err := os.ReadFile(filepath.Join(s.dir, name)); err != nil || string(data) != want || run.Counts.Failed != 0 {
				t.Fatalf("round %d: %s holds %q, %v; want %q; %+v", round, name, data, err, want, run)
			}
		}
	}
	t.Logf("%d of %d were killed before their end", kills, programs.Rounds(t))
	s.apply()
	if left := append(leftovers(t, s.dir), leftovers(t, s.state)...); len(left) != 0 {
		t.Errorf("temporary files are left: %q", left)
	}
}

// TestAFailureSkipsItsDependentsAndOwesTheirRestart: the rest converges; what was owed before is carried out once the failure
// is gone.
func TestAFailureSkipsItsDependentsAndOwesTheirRestart(t *testing.T) {
	t.Parallel()
	s := newSite(t, `  - exec: broken
    command: [sh, -c, "echo no such licence >&2; exit 3"]
    unless: [test, -e, "$D/licence"]
  - file: $D/app.conf
    content: "workers: 4\n"
    notify: exec:restart
  - file: $D/dependent.conf
    content: "x\n"
    requires: exec:broken
  - file: $D/other.conf
    content: "y\n"
`+restart+`    requires: file:$D/dependent.conf
`)
	run := s.apply()
	reasons := map[string]string{}
	for _, r := range run.Results {
		reasons[strings.ReplaceAll(r.ID, s.dir, "$D")] = string(r.Outcome) + " " + r.Refresh + " " + r.Reason
	}
	for id, want := range map[string]string{
		"site/exec:broken":            "no such licence",
		"site/file:$D/dependent.conf": "skipped  requires site/exec:broken, which failed",
		"site/exec:restart":           "which was skipped because of site/exec:broken",
		"site/file:$D/app.conf":       "changed",
		"site/file:$D/other.conf":     "changed",
	} {
		if !strings.Contains(reasons[id], want) {
			t.Errorf("%s: %q, want %q", id, reasons[id], want)
		}
	}
	if !strings.HasPrefix(reasons["site/exec:restart"], "skipped pending") || s.lines("restarts") != 0 {
		t.Errorf("the restart: %q, %d restarts", reasons["site/exec:restart"], s.lines("restarts"))
	}
	if err := os.WriteFile(filepath.Join(s.dir, "licence"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if run := s.apply(); run.Counts.Failed+run.Counts.Skipped != 0 || run.Counts.Refreshed != 1 || s.lines("restarts") != 1 {
		t.Errorf("after the repair: %+v, %d restarts", run, s.lines("restarts"))
	}
}

// TestKillByABundle lets a bundle kill the agent that runs it: after three times the agent is back on the one before, says so
// where people look, and does not try again.
func TestKillByABundle(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	dir := t.TempDir()
	f.state = filepath.Join(t.TempDir(), "state")
	module := func(text string) {
		f.repo.Put(map[string]string{"modules/site/module.yaml": "kind: Module\nabout: A site.\nresources:\n  - file: " + dir + "/motd\n    content: \"" + text})
	}
	module("good\\n\"\n")
	f.repo.Commit("good")
	f.ready(f.up())
	await(t, "the good bundle", f.published("good"))
	token := strings.TrimSpace(run(t, f.env(), "vigo", "token", "create", "--label", "role=web"))
	run(t, nil, "vigo-agent", "--state", f.state, "enroll", "--server", "https://"+f.listen, "--token", token, "--node", "web-1")
	once := func() *process { return start(t, nil, "vigo-agent", "--state", f.state, "run", "--once") }
	if out, err := once().wait(t); err != nil {
		t.Fatal(err, out)
	}
	module("bad\\n\"\n  - exec: die\n    command: [sh, -c, \"kill -9 $PPID\"]\n    always: true\n")
	f.repo.Commit("bad")
	await(t, "the bad bundle", f.published("bad"))
	for n := range 3 {
		if !once().killed(patience) {
			t.Fatalf("run %d came to its end", n)
		}
	}
	for range 2 {
		if out, err := once().wait(t); err != nil {
			t.Fatal(err, out)
		}
		if data, err := os.ReadFile(filepath.Join(dir, "motd")); err != nil || string(data) != "good\n" {
			t.Errorf("the host says %q, %v", data, err)
		}
	}
	s, err := f.status()
	if err != nil || len(s.Problems) == 0 || s.Problems[0].Kind != "refused" || !strings.HasPrefix(s.Problems[0].Text, "aside: ") {
		t.Errorf("the status: %+v, %v", s, err)
	}
	module("better\\n\"\n")
	f.repo.Commit("better")
	await(t, "the better bundle", f.published("better"))
	if out, err := once().wait(t); err != nil {
		t.Fatal(err, out)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "motd")); err != nil || string(data) != "better\n" {
		t.Errorf("the host says %q, %v", data, err)
	}
}
