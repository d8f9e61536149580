package guard_test

import (
	"context"
	"errors"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
)

func open(t *testing.T, path string) *guard.Keeper {
	t.Helper()
	k, err := guard.Open(path, func() (string, time.Duration, error) { return "one", time.Hour, nil }, false)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func machine(t *testing.T) *hosttest.Machine {
	t.Helper()
	m, err := hosttest.Parse([]byte(before))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func write(t *testing.T, h *host.Host, name, text string) {
	t.Helper()
	if err := h.FS.Write(t.Context(), name, strings.NewReader(text), host.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// A check-in confirms what had taken effect when it began, and nothing that was changed after that.
func TestACheckInConfirmsWhatItFound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "guard.json")
	k, h := open(t, path), machine(t).Host()
	if k.Mark() != 0 {
		t.Error("there is something to confirm before any change")
	}
	first, second := item(), item()
	second.ID.Name = "y"
	write(t, k.Watch(first, h), "/etc/old", "new\n")
	if k.Mark() != 0 {
		t.Error("a change can be confirmed before it has taken effect")
	}
	k.Settle()
	mark := k.Mark()
	write(t, k.Watch(second, h), "/etc/attr", "new\n")
	if err := k.Confirm(mark); err != nil {
		t.Fatal(err)
	}
	if k.Waiting(first.Name()) || !k.Waiting(second.Name()) {
		t.Error("want the first confirmed, and the second waiting")
	}
	if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), "m/thing:x") {
		t.Errorf("what was confirmed is still kept: %s, %v", data, err)
	}
	k.Settle()
	mark = k.Mark()
	write(t, k.Watch(second, h), "/etc/attr", "newer\n") // once more, while a check-in is under way
	if err := k.Confirm(mark); err != nil || !k.Waiting(second.Name()) {
		t.Errorf("a change that was made during the check-in is confirmed: %v", err)
	}
	k.Settle()
	if err := k.Confirm(k.Mark()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, iofs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

// A change is refused, and not made, when what is there cannot be kept.
func TestWhatCannotBeKeptIsNotChanged(t *testing.T) {
	t.Parallel()
	m := machine(t)
	k := open(t, filepath.Join(t.TempDir(), "nowhere", "guard.json"))
	want := m.String()
	h := k.Watch(item(), m.Host())
	for n, change := range steps() {
		if n == 3 || n == 9 || n == 15 {
			continue // they need what the step before has made
		}
		if err := change(t.Context(), h); err == nil {
			t.Errorf("step %d was made", n)
		}
	}
	if got := m.String(); got != want {
		t.Errorf("something was changed:\n%s", got)
	}
	large := open(t, filepath.Join(t.TempDir(), "guard.json")).Watch(item(), m.Host())
	write(t, m.Host(), "/etc/old", strings.Repeat("x", 9<<20))
	err := large.FS.Write(t.Context(), "/etc/old", strings.NewReader("small"), host.WriteOptions{})
	if err == nil || !strings.Contains(err.Error(), "keeping what is at /etc/old") {
		t.Errorf("a file that is too large to be kept: %v", err)
	}
	for what, err := range map[string]error{
		"attribute": large.Extended.SetXattr(t.Context(), "/etc/old", "user.x", nil),
		"flag":      large.Extended.SetFlags(t.Context(), "/etc/old", host.FileFlags{Immutable: true}),
		"tree":      large.Below.RemoveBelow(t.Context(), "/etc", "old", false),
	} {
		if err == nil {
			t.Errorf("an %s that would not be put back was changed", what)
		}
	}
}

// A candidate that is refused changes nothing, so nothing waits; the programs that looked at it are not run again.
func TestARefusedCandidateKeepsNothing(t *testing.T) {
	t.Parallel()
	k := open(t, filepath.Join(t.TempDir(), "guard.json"))
	h := k.Watch(item(), machine(t).Host())
	err := h.FS.Write(t.Context(), "/etc/old", strings.NewReader("bad"), host.WriteOptions{Validate: func(ctx context.Context, _ string) error {
		if _, err := h.Run.Run(ctx, host.Command{Argv: []string{"reread"}}); err != nil {
			return err
		}
		return errors.New("refused")
	}})
	if err == nil || k.Waiting("m/thing:x") {
		t.Errorf("%v; waiting %v", err, k.Waiting("m/thing:x"))
	}
}

// What was to be put back and could not be is tried again, and nothing is said to be back before it is.
func TestWhatCannotBePutBackYet(t *testing.T) {
	t.Parallel()
	m, err := hosttest.Parse([]byte("file /etc/old mode=0640 \"old\\n\"\nfail set-sysctl net.ipv4.ip_forward \"read-only\"\nsysctl net.ipv4.ip_forward 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	up := time.Hour
	k, err := guard.Open(filepath.Join(t.TempDir(), "guard.json"), func() (string, time.Duration, error) { return "one", up, nil }, false)
	if err != nil {
		t.Fatal(err)
	}
	h := k.Watch(item(), m.Host())
	write(t, h, "/etc/old", "new\n")
	if err := h.Kernel.SetSysctl(t.Context(), "net.ipv4.ip_forward", "1"); err == nil {
		t.Fatal("it was set")
	}
	up += time.Hour
	names, err := k.Revert(t.Context(), m.Host())
	if err == nil || !strings.Contains(err.Error(), "putting net.ipv4.ip_forward of m/thing:x back") || len(names) > 0 || !k.Stuck() {
		t.Errorf("%v, %v", names, err)
	}
	if text, err := m.Host().FS.Read("/etc/old", 0); err != nil || string(text) != "old\n" {
		t.Errorf("the rest was not put back: %q, %v", text, err)
	}
	if why := k.Refused(item()); !strings.Contains(why, "could not be put back yet") {
		t.Errorf("a new change is not refused: %q", why)
	}
	if k.Mark() != 0 {
		t.Error("a check-in would confirm what is half put back")
	}
}

// What made a change effective is done once more, after what was there is back.
func TestWhatMadeItEffectiveIsDoneAgain(t *testing.T) {
	t.Parallel()
	m := machine(t)
	up := time.Hour
	k, err := guard.Open(filepath.Join(t.TempDir(), "guard.json"), func() (string, time.Duration, error) { return "one", up, nil }, false)
	if err != nil {
		t.Fatal(err)
	}
	h := k.Watch(item(), m.Host())
	write(t, h, "/etc/old", "new\n")
	for range 2 {
		if err := h.Services.Restart(t.Context(), "web", true); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Run.Run(t.Context(), host.Command{Argv: []string{"reread"}, Stdin: strings.NewReader("input")}); err != nil {
		t.Fatal(err)
	}
	done := len(m.Log())
	up += time.Minute
	if names, err := k.Revert(t.Context(), m.Host()); err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	if got, want := strings.Join(m.Log()[done:], "; "), `write /etc/old; reload web; run ["reread"]`; got != want {
		t.Errorf("putting back did %s, want %s", got, want)
	}
}

// A damaged file is put aside and said; a dry run leaves it.
func TestADamagedFileIsPutAside(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"{", `{"format":2}`, `{"format":1,"held":[null]}`, ""} {
		path := filepath.Join(t.TempDir(), "guard.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if k, err := guard.Open(path, guard.MachineClock, true); k == nil || err == nil {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := guard.Read(path); err == nil {
			t.Errorf("%q: status reads it", text)
		}
		if k, err := guard.Open(path, guard.MachineClock, false); k == nil || err == nil || !strings.Contains(err.Error(), "put aside") {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := os.Stat(path + ".damaged"); err != nil {
			t.Error(err)
		}
	}
}
