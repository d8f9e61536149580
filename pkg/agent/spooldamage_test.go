package agent

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestAMergeThatIsInterruptedCountsNothingTwice puts back the files that a merge was about to remove when the power went.
func TestAMergeThatIsInterruptedCountsNothingTwice(t *testing.T) {
	t.Parallel()
	for name, left := range map[string][]int{"both": {0, 1}, "the newer": {1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSpool(t)
			put(t, s, runAt(0), runAt(1), runAt(2))
			names, err := s.names()
			if err != nil {
				t.Fatal(err)
			}
			kept := map[string][]byte{}
			for _, n := range left {
				if kept[names[n]], err = os.ReadFile(filepath.Join(s.dir, names[n])); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.merge(names[0], names[1]); err != nil {
				t.Fatal(err)
			}
			for name, data := range kept {
				if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			again, err := openSpool(s.dir, false)
			if err != nil {
				t.Fatal(err)
			}
			changed := 0
			for _, r := range drained(t, again) {
				changed += r.Counts.Changed
			}
			if changed != 3 {
				t.Errorf("%d changes, want 3", changed)
			}
		})
	}
}

func TestWhatIsDamagedDoesNotHoldUpTheRest(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	put(t, s, runAt(1), runAt(2))
	for name, data := range map[string]string{
		"0-garbage.json": "}{", "1-empty.json": "", "2-null.json": "null", "3-list.json": "[1]", "4-cut.json": `{"id":"x","no`,
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(s.dir, "5-folder.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := drained(t, s); len(got) != 2 {
		t.Errorf("delivered: %v", got)
	}
	aside, err := filepath.Glob(filepath.Join(s.dir, "*.damaged"))
	if err != nil || len(aside) != 6 {
		t.Errorf("put aside: %v, %v", aside, err)
	}
}

// TestADiskThatTakesNothingLosesNoReport: the folder is replaced by a file, so no write succeeds; runs wait in memory.
func TestADiskThatTakesNothingLosesNoReport(t *testing.T) {
	t.Parallel()
	s := newSpool(t)
	put(t, s, runAt(1))
	aside := s.dir + ".aside"
	if err := errors.Join(os.Rename(s.dir, aside), os.WriteFile(s.dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for n := range waitingLimit + 5 {
		if err := s.Put(t.Context(), runAt(n+2)); err == nil {
			t.Fatal("it said that the run is on disk")
		}
	}
	if n := s.Len(); n != waitingLimit {
		t.Errorf("%d runs wait, want %d", n, waitingLimit)
	}
	if err := errors.Join(os.Remove(s.dir), os.Rename(aside, s.dir)); err != nil {
		t.Fatal(err)
	}
	put(t, s, runAt(99)) // there is room again
	if len(s.waiting) != 0 {
		t.Errorf("%d runs are still in memory", len(s.waiting))
	}
	changed := 0
	for _, r := range drained(t, s) {
		changed += r.Counts.Changed
	}
	if want := waitingLimit + 7; changed != want {
		t.Errorf("%d changes, want %d", changed, want)
	}
}

// FuzzSpooled reads what a disk may hold.
func FuzzSpooled(f *testing.F) {
	f.Add([]byte(`{"id":"a","started":"2026-11-25T12:00:00Z","absorbs":["b"]}`))
	f.Add([]byte(`{"id":"../../x"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newSpool(t)
		if err := os.WriteFile(filepath.Join(s.dir, "1.json"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		put(t, s, runAt(1))
		again, err := openSpool(s.dir, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range drained(t, again) {
			if r.ID == "" {
				t.Error("a run without an ID was delivered")
			}
		}
	})
}
