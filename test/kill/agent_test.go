package kill

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/test/programs"
)

// TestKillAgent kills an agent at random moments of its work, from its start to its end, with and without a network, while
// the policy changes and files are broken by hand.
func TestKillAgent(t *testing.T) {
	t.Parallel()
	f, random := newFleet(t), programs.Chance(t)
	way := newWire(t)
	f.reach = way.address()
	f.ready(f.up())
	way.to = f.server()
	f.enrol(way.address())
	await(t, "the first bundle", func() (bool, error) {
		s, err := f.status()
		return err == nil && len(s.Channels) == 1 && s.Channels[0].Commit != "", err
	})

	began := time.Now()
	run(t, nil, "vigo-agent", "--root", f.root, "run", "--once")
	whole := time.Since(began)
	t.Logf("a whole run takes %s", whole)
	f.wantFiles(0)

	f.commit(1) // so that the first kills meet a bundle that is new
	version, kills := 1, 0
	promised := map[string]bool{} // runs that were in the spool: they may not be lost
	for round := range programs.Rounds(t) {
		if round%10 == 4 {
			version++
			f.commit(version)
		}
		for range 3 {
			f.breakFile(random.IntN(files), "broken by hand\n")
		}
		way.set(random.IntN(3) > 0)
		if start(t, nil, "vigo-agent", "--root", f.root, "run", "--once").killed(time.Duration(random.Int64N(int64(whole) * 11 / 10))) {
			kills++
		}
		f.wantReadable(round)
		f.wantWholeFiles(round, version)
		for _, id := range f.spooled() {
			promised[id] = true
		}
	}
	t.Logf("%d of %d were killed before their end; %d runs were in the spool", kills, programs.Rounds(t), len(promised))

	way.set(true)
	version++
	f.commit(version)
	await(t, "the newest policy on the node and every report at the service", func() (bool, error) {
		f.breakFile(0, "broken by hand\n")
		run(t, nil, "vigo-agent", "--root", f.root, "run", "--once")
		data, err := os.ReadFile(f.path(1))
		return err == nil && string(data) == content(version, 1) && len(f.spooled()) == 0, err
	})
	f.wantFiles(version)
	if left := leftovers(t, f.root); len(left) != 0 {
		t.Errorf("temporary files are left: %q", left)
	}
	there := f.reported()
	for id := range promised {
		if !there[id] {
			t.Errorf("run %s was in the spool and is lost", id)
		}
	}
	s, err := f.status()
	if err != nil || len(s.Problems) != 0 {
		t.Errorf("the status: %+v, %v", s, err)
	}
}

func (f *fleet) breakFile(n int, content string) {
	f.t.Helper()
	if err := os.WriteFile(f.path(n), []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// wantFiles fails unless all files are of one version.
func (f *fleet) wantFiles(version int) {
	f.t.Helper()
	for n := range files {
		data, err := os.ReadFile(f.path(n))
		if err != nil || string(data) != content(version, n) {
			f.t.Errorf("file %d holds %.60q, %v; want version %d", n, data, err, version)
		}
	}
}

// wantWholeFiles fails when a file is neither as it was broken nor as some version of the policy has it.
func (f *fleet) wantWholeFiles(round, newest int) {
	f.t.Helper()
	for n := range files {
		data, err := os.ReadFile(f.path(n))
		if err != nil {
			f.t.Fatalf("round %d: %v", round, err)
		}
		whole := string(data) == "broken by hand\n"
		for v := 0; v <= newest && !whole; v++ {
			whole = string(data) == content(v, n)
		}
		if !whole {
			f.t.Fatalf("round %d: file %d is half-written: %d bytes, %.60q", round, n, len(data), data)
		}
	}
}

// wantReadable fails unless every state file can be read. A bundle may have been put aside: to the agent, being killed three
// times with it is the bundle's doing.
func (f *fleet) wantReadable(round int) {
	f.t.Helper()
	if st, err := agent.ReadStatus(f.state); err != nil || st.Pointer == "" || st.Bundle == "" {
		f.t.Fatalf("round %d: the state: %+v, %v", round, st, err)
	}
	names, err := filepath.Glob(filepath.Join(f.state, "*.json"))
	if err != nil || len(names) < 4 {
		f.t.Fatalf("round %d: state files %q, %v", round, names, err)
	}
	damaged, err := filepath.Glob(filepath.Join(f.state, "*", "*.damaged"))
	if err != nil || len(damaged) != 0 {
		f.t.Fatalf("round %d: %q, %v", round, damaged, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil || !json.Valid(data) {
			f.t.Fatalf("round %d: %s holds %.80q, %v", round, name, data, err)
		}
	}
}

// spooled are the IDs of the runs in the agent's spool.
func (f *fleet) spooled() []string {
	f.t.Helper()
	names, err := filepath.Glob(filepath.Join(f.state, "spool", "*.json"))
	if err != nil {
		f.t.Fatal(err)
	}
	var ids []string
	for _, name := range names {
		var r struct{ ID string }
		data, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(data, &r)
		}
		if err != nil || r.ID == "" {
			f.t.Fatalf("%s holds %.80q, %v", name, data, err)
		}
		ids = append(ids, r.ID)
	}
	return ids
}
