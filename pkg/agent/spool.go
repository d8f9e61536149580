package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/report"
)

// spoolLimit is the number of runs kept on disk. Beyond it the two oldest are merged into one that keeps the counts and
// the changes of both, so a long time offline costs detail, never the fact of a change.
const spoolLimit = 500

// waitingLimit is the number of runs kept in memory while the disk takes none.
const waitingLimit = 50

// spool keeps the runs that the service has not acknowledged yet, one file each, oldest first by name. While the disk does
// not take them they wait in memory.
type spool struct {
	dir string

	mu      sync.Mutex
	waiting []report.Run
	sending string // file that is being delivered: it is not merged meanwhile
}

// spooled is a run as it lies in the spool.
type spooled struct {
	report.Run
	// Absorbs are the runs this one was merged from. A crash may leave them beside it; then they are dropped.
	Absorbs []string `json:"absorbs,omitempty"`
}

// openSpool opens a spool and clears away what a crash has left. The spool can be used also when that failed. With look
// nothing is made or cleared.
func openSpool(dir string, look bool) (*spool, error) {
	s := &spool{dir: dir}
	if look {
		return s, nil
	}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = errors.Join(atomicfile.Sweep(dir), s.dropAbsorbed())
	}
	if err != nil {
		return s, fmt.Errorf("opening the spool: %w", err)
	}
	return s, nil
}

// dropAbsorbed finishes a merge that was interrupted.
func (s *spool) dropAbsorbed() error {
	names, err := s.names()
	if err != nil {
		return err
	}
	var absorbed []string
	for _, name := range names {
		if run, err := s.read(name); err == nil {
			absorbed = append(absorbed, run.Absorbs...)
		}
	}
	for _, name := range names {
		if slices.ContainsFunc(absorbed, func(id string) bool { return strings.HasSuffix(name, "-"+filepath.Base(id)+".json") }) {
			err = errors.Join(err, atomicfile.Remove(filepath.Join(s.dir, name)))
		}
	}
	return err
}

// Put implements report.Sink: when it returns nil, the run survives a crash; otherwise it waits in memory.
func (s *spool) Put(_ context.Context, r report.Run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, fit(r))
	err := s.flush()
	if len(s.waiting) > waitingLimit {
		s.waiting = append([]report.Run{fit(merged(s.waiting[0], s.waiting[1]))}, s.waiting[2:]...)
	}
	return err
}

// flush writes what waits.
func (s *spool) flush() error {
	for len(s.waiting) > 0 {
		names, err := s.names()
		if err != nil {
			return err
		}
		names = slices.DeleteFunc(names, func(name string) bool { return name == s.sending })
		if len(names) >= spoolLimit {
			if err := s.merge(names[0], names[1]); err != nil {
				return err
			}
		}
		if err := s.write(spooled{Run: s.waiting[0]}); err != nil {
			return err
		}
		s.waiting = s.waiting[1:]
	}
	return nil
}

// fileName sorts by start time; the ID makes it unique, and a second Put of the same run replaces the first.
func fileName(r report.Run) string {
	return fmt.Sprintf("%020d-%s.json", r.Started.UnixNano(), filepath.Base(r.ID))
}

func (s *spool) write(r spooled) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("spooling run %s: %w", r.ID, err)
	}
	if err := atomicfile.Write(filepath.Join(s.dir, fileName(r.Run)), data, 0o600); err != nil {
		return fmt.Errorf("spooling run %s: %w", r.ID, err)
	}
	return nil
}

func (s *spool) names() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the spool: %w", err)
	}
	var names []string
	for _, e := range entries { // sorted
		if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Len is the number of runs that are not delivered yet.
func (s *spool) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.names()
	if err != nil {
		return len(s.waiting)
	}
	return len(names) + len(s.waiting)
}

// Drain gives the runs to sink as those of node, oldest first, and removes each that it took. It stops at the first that
// sink did not take; the rest stay. One that the service will never take is put aside, so that it does not hold up the
// others. Runs can be put meanwhile.
func (s *spool) Drain(ctx context.Context, node string, sink report.Sink) error {
	s.mu.Lock()
	names, unreadable := s.names()
	s.mu.Unlock()
	for _, name := range names {
		if err := s.deliver(ctx, name, node, sink); err != nil {
			return err
		}
	}
	for {
		run, ok := s.takeWaiting()
		if !ok {
			return unreadable
		}
		run.Node = node
		if err := sink.Put(ctx, run); err != nil {
			if !refusedForGood(err) {
				s.mu.Lock()
				s.waiting = append([]report.Run{run}, s.waiting...)
				s.mu.Unlock()
			}
			return errors.Join(err, unreadable)
		}
	}
}

func (s *spool) takeWaiting() (report.Run, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 {
		return report.Run{}, false
	}
	run := s.waiting[0]
	s.waiting = s.waiting[1:]
	return run, true
}

// deliver gives one file to sink.
func (s *spool) deliver(ctx context.Context, name, node string, sink report.Sink) error {
	s.mu.Lock()
	run, err := s.read(name)
	if err == nil {
		s.sending = name
	}
	s.mu.Unlock()
	switch {
	case errors.Is(err, errDamaged), errors.Is(err, fs.ErrNotExist): // put aside, or merged meanwhile
		return nil
	case err != nil:
		return err
	}
	run.Node = node // the host may have enrolled anew under another name since
	err = sink.Put(ctx, run.Run)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sending = ""
	path := filepath.Join(s.dir, name)
	switch {
	case refusedForGood(err):
		return errors.Join(fmt.Errorf("putting run %s aside: %w", run.ID, err), os.Rename(path, path+".refused"))
	case err != nil:
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a delivered run: %w", err)
	}
	return nil
}

// refusedForGood says whether the service would refuse the same run again.
func refusedForGood(err error) bool {
	return errors.Is(err, api.ErrTooLarge) || errors.Is(err, api.ErrBadRequest)
}

// errDamaged says that a file of the spool could not be understood and was put aside.
var errDamaged = errors.New("damaged")

// read returns a spooled run; what cannot be understood is put aside as .damaged.
func (s *spool) read(name string) (spooled, error) {
	path := filepath.Join(s.dir, name)
	var run spooled
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return run, err
	case err == nil:
		err = json.Unmarshal(data, &run)
	}
	if err == nil && run.ID == "" {
		err = errors.New("it names no run")
	}
	if err == nil {
		return run, nil
	}
	if asideErr := os.Rename(path, path+".damaged"); asideErr != nil {
		return spooled{}, fmt.Errorf("reading the spool: %w", errors.Join(err, asideErr))
	}
	return spooled{}, fmt.Errorf("reading the spool: %s is %w: %w", name, errDamaged, err)
}
