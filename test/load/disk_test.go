package load

import (
	"database/sql"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver

	"vigo.dev/pkg/report"
	"vigo.dev/test/programs"
)

// TestDisk takes away what the store of a service is on while its fleet works: a limit on files, as a quota is, and as root a disk
// that is full. Nodes go on to be heard; what would have to be kept is refused, for a while and with words; and when there is room
// again the service goes on by itself with a file that is whole.
func TestDisk(t *testing.T) {
	t.Parallel()
	z := size{300, 2 * time.Second}
	dir := folder(t)
	root := os.Getuid() == 0
	if root {
		must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, "size=192m,mode=0700"))
		t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	}
	s := newService(t, dir, z.interval)
	s.start()
	f := simulate(t, s, z, 30*time.Second, "--failures", "30%")
	s.without(t, "a quota", "its disk takes nothing", limit(t, s, 1), limit(t, s, math.MaxUint64))
	if root {
		ballast := filepath.Join(dir, "ballast")
		s.without(t, "a disk that is full", "no room", func() { fill(t, ballast) }, func() { must(t, os.Remove(ballast)) })
	}
	out := f.figures()
	good(t, out)
	if out.Pressure == 0 || out.Unanswered != 0 {
		t.Errorf("%d turns were told to come again, and %d not answered", out.Pressure, out.Unanswered)
	}
	s.stop()
	if said := integrity(t, filepath.Join(s.data(), "report.db")); said != "ok" {
		t.Errorf("the file is damaged: %s", said)
	}
}

// without takes something away from a running service, sees it say so in these words, and gives it back.
func (s *service) without(t *testing.T, what, words string, take, give func()) {
	t.Helper()
	take()
	programs.Await(t, what+": the service to show that it cannot keep anything", time.Minute, func() bool { return s.ready() == 503 })
	st, err := s.operator().Status(t.Context(), 100)
	must(t, err)
	if st.Presences.Live+st.Presences.Late == 0 {
		t.Errorf("%s: nobody is heard of: %+v", what, st.Presences)
	}
	if !slices.ContainsFunc(st.Problems, func(p report.Problem) bool {
		return p.Kind == "store" && strings.Contains(p.Text, ": refused are ") && strings.HasPrefix(p.Text, words)
	}) {
		t.Errorf("%s: people are not told: %+v", what, st.Problems)
	}
	// What was in the log of the database leaves room now and then, so somebody may get a small thing kept.
	programs.AwaitNil(t, what+": who asks for something to be kept is told", time.Minute, func() error {
		_, err := s.operator().PutMute(t.Context(), report.Mute{Rule: "none", Reason: "a test", Until: time.Now().Add(time.Hour)})
		if err == nil || !strings.Contains(err.Error(), "cannot keep anything") {
			return fmt.Errorf("the answer was: %v", err)
		}
		return nil
	})
	give()
	began := time.Now()
	programs.Await(t, what+": the service to be ready again", recovery, func() bool { return s.ready() == 200 })
	t.Logf("%s: ready %s after it was given back", what, time.Since(began).Round(10*time.Millisecond))
}

// limit bounds the files of the service, as a quota does.
func limit(t *testing.T, s *service, bytes uint64) func() {
	return func() {
		t.Helper()
		must(t, unix.Prlimit(s.process.Cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: math.MaxUint64}, nil))
	}
}

// fill takes all room there is.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	must(t, err)
	for size := 1 << 20; size > 0; {
		if _, err = file.Write(make([]byte, size)); errors.Is(err, unix.ENOSPC) {
			size /= 2
			continue
		}
		must(t, err)
	}
	must(t, file.Close())
}

func integrity(t *testing.T, path string) (said string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	must(t, err)
	err = db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&said)
	must(t, errors.Join(err, db.Close()))
	return said
}
