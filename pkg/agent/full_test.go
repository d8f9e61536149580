package agent

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vigo.dev/pkg/report"
)

// full puts the state on a file system of its own, and returns what fills it to the last byte and what makes room.
func (r *rig) full() (fill, room func()) {
	r.t.Helper()
	if os.Getuid() != 0 {
		r.t.Skip("mounting a file system needs root")
	}
	dir := r.state.dir
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m,mode=0700"); err != nil {
		r.t.Skipf("mounting a file system: %v", err)
	}
	r.t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			r.t.Error(err)
		}
	})
	e := enrolment()
	if err := errors.Join(r.state.beginTrust(e), r.state.SaveEnrolment(e)); err != nil {
		r.t.Fatal(err)
	}
	r.pin()
	filler := filepath.Join(dir, "filler")
	return func() {
			f, err := os.Create(filler)
			if err != nil {
				r.t.Fatal(err)
			}
			defer f.Close()
			for err == nil {
				_, err = f.Write(bytes.Repeat([]byte{1}, 4096))
			}
			if !errors.Is(err, unix.ENOSPC) {
				r.t.Fatal(err)
			}
		}, func() {
			if err := os.Remove(filler); err != nil {
				r.t.Fatal(err)
			}
		}
}

// TestAFullDiskIsReportedAndEnforcementGoesOn: the host's own disk has room; that of the agent has not.
func TestAFullDiskIsReportedAndEnforcementGoesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	fill, room := r.full()
	r.publish(motdPolicy("good"))
	a := r.start()
	r.once(a)
	fill()
	before := snapshot(t, r.state.dir)
	next := r.publish(motdPolicy("next"))
	var run report.Run
	for _, process := range []*Agent{a, r.start()} {
		r.drift()
		run = r.once(process)
		r.wantMotd("good") // what cannot be remembered is not acted on
		if run.Counts.Corrected != 1 {
			t.Errorf("the run: %+v", run)
		}
		if told := r.service.last(t).Run.Error; !strings.Contains(told, "no space left on device") {
			t.Errorf("the report says %q", told)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, r.state.dir)); diff != "" {
		t.Errorf("the state was changed, or temporary files are left:\n%s", diff)
	}
	if n := len(r.service.runs); n != 3 {
		t.Errorf("%d runs arrived, want all 3", n)
	}
	room()
	if run = r.once(a); run.Bundle != next.Descriptor.Digest || run.Error != "" {
		t.Errorf("with room again: %+v", run)
	}
	r.wantMotd("next")
}

// TestANotificationThatCannotBeKeptIsNotTakenForKept: the disk is full when it is made, so the change is not made; the
// same notification is written when there is room, before the change.
func TestANotificationThatCannotBeKeptIsNotTakenForKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", journalFile)
	j, err := openJournal(path, false)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the folder is not there: nothing can be written
		if err := j.Notify("m/file:/conf", []string{"m/service:s"}); err == nil {
			t.Fatal("it said that the notification is on disk")
		}
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := j.Notify("m/file:/conf", []string{"m/service:s"}); err != nil {
		t.Fatal(err)
	}
	again, err := openJournal(path, false)
	if err != nil || !again.Pending("m/service:s") {
		t.Errorf("it is not on disk: %v", err)
	}
}
