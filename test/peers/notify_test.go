package peers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/report"
	"vigo.dev/test/programs"
)

const restart = `  - exec: restart
    command: [sh, -c, "echo restarted >> $D/restarts"]
    refresh_only: true
`

// Ansible forgets a handler when a later task fails (ansible#10498, #9323, #3198), Salt does not try a failed watch again
// (salt#4142): the configuration is new and the service runs with the old one, for ever.
func TestBug01ANotificationIsLostAfterAFailure(t *testing.T) {
	t.Parallel()
	s := programs.NewSite(t, `  - file: $D/app.conf
    content: "workers: 4\n"
    notify: exec:restart
  - exec: migrate
    command: [test, -e, $D/database]
    unless: [test, -e, $D/database]
    requires: file:$D/app.conf
    before: exec:restart
`+restart)
	run := s.Apply()
	if run.Counts.Failed != 1 || run.Counts.Refreshed != 0 {
		t.Fatalf("the database is away: %+v", run)
	}
	s.Put("database", "")
	run = s.Apply() // nothing differs now
	if run.Counts.Refreshed != 1 || run.Counts.Changed+run.Counts.Corrected != 0 || s.Read("restarts") != "restarted\n" {
		t.Errorf("the run after the failure: %+v", run)
	}
	if run = s.Apply(); !run.Quiet() || s.Read("restarts") != "restarted\n" {
		t.Errorf("it was restarted again: %+v", run)
	}
}

// Ansible's check mode skips what others need (ansible#6108, #8753, #31113); Salt's test mode does not hand a change on along
// a chain (salt#33856, #24849). Here, policies at random are looked at and then applied.
func TestBug02ADryRunLies(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := programs.NewSite(t, randomPolicy(rand.New(rand.NewPCG(seed, 2))))
			for round := range 3 {
				before := tree(t, s.Dir)
				said := s.Apply("--dry-run")
				if diff := cmp.Diff(before, tree(t, s.Dir)); diff != "" {
					t.Fatalf("the dry run changed something:\n%s", diff)
				}
				did := s.Apply()
				if diff := cmp.Diff(predicted(said), predicted(did)); diff != "" {
					t.Fatalf("round %d (-said +did):\n%s", round, diff)
				}
				spoil(t, s, rand.New(rand.NewPCG(seed, uint64(round))))
			}
		})
	}
}

// randomPolicy declares files, lines and commands that notify each other along chains.
func randomPolicy(r *rand.Rand) string {
	var b strings.Builder
	n := 3 + r.IntN(8)
	for i := range n {
		switch r.IntN(3) {
		case 0:
			fmt.Fprintf(&b, "  - file: $D/f%d\n    content: \"%d\\n\"\n    mode: \"0640\"\n", i, r.IntN(1000))
		case 1:
			fmt.Fprintf(&b, "  - line: l%d\n    path: $D/lines%d\n    text: line %d\n    create: true\n", i, i, r.IntN(1000))
		case 2:
			fmt.Fprintf(&b, "  - symlink: $D/s%d\n    target: to%d\n", i, r.IntN(1000))
		}
		if r.IntN(2) == 0 {
			b.WriteString("    notify: exec:first\n")
		}
	}
	b.WriteString(`  - exec: first
    command: [sh, -c, "echo x >> $D/first"]
    refresh_only: true
    notify: exec:second
  - exec: second
    command: [sh, -c, "echo x >> $D/second"]
    refresh_only: true
`)
	return b.String()
}

// spoil changes some of it by hand.
func spoil(t *testing.T, s *programs.Site, r *rand.Rand) {
	t.Helper()
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); r.IntN(3) == 0 && name != "first" && name != "second" {
			if err := os.Remove(filepath.Join(s.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// predicted is what a run says of each resource, without what only a real run can know.
func predicted(run report.Run) map[string][]string {
	all := map[string][]string{}
	for _, r := range run.Results {
		said := []string{"refreshed: " + fmt.Sprint(r.Refresh != "")}
		for _, c := range r.Changes {
			if c.To != change.Unknown {
				said = append(said, c.String())
			}
		}
		all[r.ID] = said
	}
	return all
}

// tree is the content of a folder, by path.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if target, err := os.Readlink(path); err == nil {
			all[e.Name()] = "link to " + target
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(data)
	}
	return all
}
