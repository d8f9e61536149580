package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"vigo.dev/pkg/atomicfile"
	"vigo.dev/pkg/report"
)

// spoolLimit is the number of runs kept on disk. Beyond it the two oldest are merged into one that keeps the counts and
// the changes of both, so a long time offline costs detail, never the fact of a change.
const spoolLimit = 500

// mergedResults bounds the results kept when runs are merged.
const mergedResults = 1000

// spool keeps the runs that the service has not acknowledged yet, one file each, oldest first by name.
type spool struct {
	dir string
	mu  sync.Mutex
}

func openSpool(dir string) (*spool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	if err := atomicfile.Sweep(dir); err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	return &spool{dir: dir}, nil
}

// Put implements report.Sink: when it returns, the run survives a crash.
func (s *spool) Put(_ context.Context, r report.Run) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.names()
	if err != nil {
		return err
	}
	if len(names) >= spoolLimit {
		if err := s.merge(names[0], names[1]); err != nil {
			return err
		}
	}
	return s.write(fileName(r), r)
}

// fileName sorts by start time; the ID makes it unique, and a second Put of the same run replaces the first.
func fileName(r report.Run) string {
	return fmt.Sprintf("%020d-%s.json", r.Started.UnixNano(), filepath.Base(r.ID))
}

func (s *spool) write(name string, r report.Run) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("spooling run %s: %w", r.ID, err)
	}
	if err := atomicfile.Write(filepath.Join(s.dir, name), data, 0o600); err != nil {
		return fmt.Errorf("spooling run %s: %w", r.ID, err)
	}
	return nil
}

func (s *spool) names() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("reading the spool: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// Len is the number of runs that wait.
func (s *spool) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.names()
	if err != nil {
		return 0
	}
	return len(names)
}

// Drain gives the runs to sink, oldest first, and removes each that it took. It stops at the first that it did not
// take; the rest stay.
func (s *spool) Drain(ctx context.Context, sink report.Sink) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	names, err := s.names()
	if err != nil {
		return err
	}
	for _, name := range names {
		run, err := s.read(name)
		if err != nil {
			return err
		}
		if run.ID == "" {
			continue // damaged, put aside
		}
		if err := sink.Put(ctx, run); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a delivered run: %w", err)
		}
	}
	return nil
}

// read returns a spooled run; one that cannot be understood is put aside as .damaged and returned empty.
func (s *spool) read(name string) (report.Run, error) {
	path := filepath.Join(s.dir, name)
	data, err := os.ReadFile(path)
	if err != nil {
		return report.Run{}, fmt.Errorf("reading the spool: %w", err)
	}
	var run report.Run
	if json.Unmarshal(data, &run) != nil || run.ID == "" {
		if err := os.Rename(path, path+".damaged"); err != nil {
			return report.Run{}, fmt.Errorf("putting a damaged run aside: %w", err)
		}
		return report.Run{}, nil
	}
	return run, nil
}

// merge makes one run of the two oldest.
func (s *spool) merge(older, newer string) error {
	a, err := s.read(older)
	if err != nil {
		return err
	}
	b, err := s.read(newer)
	if err != nil {
		return err
	}
	if a.ID == "" || b.ID == "" {
		return nil
	}
	b.Counts = sum(a.Counts, b.Counts)
	b.Results = append(a.Results, b.Results...)
	if over := len(b.Results) - mergedResults; over > 0 {
		b.Results = b.Results[over:]
	}
	b.Started, b.Took = a.Started, b.Started.Add(b.Took).Sub(a.Started)
	if err := s.write(fileName(b), b); err != nil {
		return err
	}
	for _, name := range []string{older, newer} {
		if name == fileName(b) {
			continue
		}
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil {
			return fmt.Errorf("removing a merged run: %w", err)
		}
	}
	return nil
}

func sum(a, b report.Counts) report.Counts {
	return report.Counts{
		OK: a.OK + b.OK, Changed: a.Changed + b.Changed, Corrected: a.Corrected + b.Corrected, Failed: a.Failed + b.Failed,
		Skipped: a.Skipped + b.Skipped, Drift: a.Drift + b.Drift, Refreshed: a.Refreshed + b.Refreshed,
	}
}
