package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/identity"
)

// damages are what a power cut, a bad disk or a hand can make of a file.
var damages = map[string]func(path string) error{
	"empty":             func(path string) error { return os.WriteFile(path, nil, 0o600) },
	"garbage":           func(path string) error { return os.WriteFile(path, []byte("\x00\xff}{"), 0o600) },
	"null":              func(path string) error { return os.WriteFile(path, []byte("null\n"), 0o600) },
	"an empty document": func(path string) error { return os.WriteFile(path, []byte("{}\n"), 0o600) },
	"zeros":             func(path string) error { return os.WriteFile(path, make([]byte, 300), 0o600) },
	"cut": func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, data[:len(data)/2], 0o600)
	},
	"a folder": func(path string) error {
		return errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700), os.WriteFile(filepath.Join(path, "x"), nil, 0o600))
	},
}

// TestRollbackProtectionIsNeverResetBySilence: what is trusted cannot be read, so the agent does not start, and says what
// to do; and it does not touch the file.
func TestRollbackProtectionIsNeverResetBySilence(t *testing.T) {
	t.Parallel()
	all := map[string]func(string) error{"removed": os.Remove}
	for name, damage := range damages {
		all[name] = damage
	}
	for name, damage := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.publish(motdPolicy("good"))
			r.once(r.start())
			if err := damage(r.state.Path(trustFile)); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, r.state.dir)
			_, err := r.tryStart()
			if err == nil || !strings.Contains(err.Error(), trustFile) || len(fault.Hints(err)) == 0 {
				t.Fatalf("the agent said %v", err)
			}
			if _, err := ReadStatus(r.state.dir); err == nil {
				t.Error("the status shows nothing wrong")
			}
			if diff := cmp.Diff(before, snapshot(t, r.state.dir)); diff != "" {
				t.Errorf("it changed:\n%s", diff)
			}
		})
	}
}

func TestADamagedEnrolmentIsAnErrorThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if err := damage(r.state.Path(enrolmentFile)); err != nil {
				t.Fatal(err)
			}
			_, err := r.state.LoadEnrolment()
			if err == nil || errors.Is(err, ErrNotEnrolled) || !strings.Contains(err.Error(), enrolmentFile) || len(fault.Hints(err)) == 0 {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestADamagedJournalIsToldAndEnforcementGoesOn: what was owed is lost, which people must hear of; the rest is not.
func TestADamagedJournalIsToldAndEnforcementGoesOn(t *testing.T) {
	t.Parallel()
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.publish(motdPolicy("good"))
			r.once(r.start())
			if err := damage(r.state.Path(journalFile)); err != nil {
				t.Fatal(err)
			}
			r.drift()
			a := r.start()
			r.once(a)
			r.wantMotd("good")
			if told := r.service.last(t).Run.Error; !strings.Contains(told, "journal") {
				t.Errorf("the report says %q", told)
			}
			if _, err := os.Lstat(r.state.Path(journalFile + ".damaged")); err != nil {
				t.Error(err)
			}
			r.drift()
			if run := r.once(a); run.Counts.Corrected != 1 || run.Error != "" {
				t.Errorf("the next run: %+v", run)
			}
			r.once(r.start())
			if told := r.service.last(t).Run.Error; told != "" {
				t.Errorf("a process after that says %q", told)
			}
		})
	}
}

func TestADamagedCounterGoesByTheClock(t *testing.T) {
	t.Parallel()
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			before, err := identity.OpenNumbers(r.state.Path(counterFile), r.clock)
			if err != nil {
				t.Fatal(err)
			}
			var last int64
			for range 100 {
				if last, err = before.Next(); err != nil {
					t.Fatal(err)
				}
			}
			if err := damage(r.state.Path(counterFile)); err != nil {
				t.Fatal(err)
			}
			r.now = r.now.Add(1e9) // a second
			after, _ := identity.OpenNumbers(r.state.Path(counterFile), r.clock)
			n, err := after.Next()
			if err != nil || n <= last {
				t.Errorf("after %d came %d, %v", last, n, err)
			}
		})
	}
}

func TestNumbersRiseWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var last int64
	for range 5 {
		c, err := identity.OpenNumbers(r.state.Path(counterFile), r.clock)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			n, err := c.Next()
			if err != nil || n <= last {
				t.Fatalf("after %d came %d, %v", last, n, err)
			}
			last = n
		}
		r.now = r.now.Add(-1e15) // eleven days back
	}
}

func TestTwoAgentsNeverRunOnOneState(t *testing.T) {
	t.Parallel()
	s, err := OpenState(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	release, err := s.Lock()
	if err != nil {
		t.Fatal(err)
	}
	half := s.Path("." + trustFile + ".tmp-123")
	if err := os.WriteFile(half, nil, 0o600); err != nil { // the one who holds the lock writes
		t.Fatal(err)
	}
	other, err := OpenState(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Lock(); !errors.Is(err, ErrLocked) {
		t.Errorf("the second lock: %v", err)
	}
	if _, err := os.Lstat(half); err != nil {
		t.Errorf("the second has removed what the first writes: %v", err)
	}
	release()
	release, err = other.Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := os.Lstat(half); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what an interrupted write has left stays: %v", err)
	}
}

func TestADryRunWritesAndTellsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("good"))
	dry := func(c *Config) { c.DryRun = true }
	for range 2 { // before the first run, and after it
		state, root := snapshot(t, r.state.dir), snapshot(t, r.root)
		told := len(r.service.checkIns)
		next := r.publish(motdPolicy(fmt.Sprint("next ", r.seq)))
		run := r.once(r.start(dry))
		if !run.DryRun || run.Counts.Drift != 1 || run.Bundle != next.Descriptor.Digest {
			t.Errorf("the dry run: %+v", run)
		}
		if diff := cmp.Diff(state, snapshot(t, r.state.dir)); diff != "" {
			t.Errorf("the state was changed:\n%s", diff)
		}
		if diff := cmp.Diff(root, snapshot(t, r.root)); diff != "" {
			t.Errorf("the host was changed:\n%s", diff)
		}
		if len(r.service.checkIns) != told {
			t.Error("the service was told")
		}
		r.once(r.start())
	}
}

func TestTheJournalForgetsWhatIsNotDeclaredAnyMore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), journalFile)
	j, err := openJournal(path, false)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(j.Notify("m/file:/a", []string{"m/service:gone", "m/service:never-in-line"}),
		j.Finish(map[string]string{"m/file:/a": "d1", "m/service:never-in-line": ""}))
	if err != nil {
		t.Fatal(err)
	}
	again, err := openJournal(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if again.Pending("m/service:gone") || !again.Pending("m/service:never-in-line") || again.Enforced("m/file:/a") != "d1" {
		t.Errorf("the journal: %+v", again.doc)
	}
}

// TestWhatIsTrustedSurvivesARoundTrip, so that no field is dropped on the way to the disk.
func TestWhatIsTrustedSurvivesARoundTrip(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.publish(motdPolicy("one"))
	r.once(r.start())
	r.publish(motdPolicy("two"))
	a := r.start()
	r.once(a)
	doc, err := r.state.loadTrust()
	if err != nil {
		t.Fatal(err)
	}
	if doc.Previous.Digest == "" || doc.Enforced.Commit != "c0ffee" || len(doc.Attempts) != 0 {
		t.Errorf("on disk: %+v", doc)
	}
	disk, _ := json.Marshal(doc)
	memory, _ := json.Marshal(a.trustCopy())
	if diff := cmp.Diff(string(memory), string(disk)); diff != "" {
		t.Error(diff)
	}
}
