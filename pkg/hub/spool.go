package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/atomicfile"
)

// The bounds of a spool beside its bytes.
const (
	perSender = 5000 // uploads of one node that wait at once: one that loops does not take the room of the others
	couriers  = 8    // uploads that are delivered at once: a line with a long way is not waited for each time
	putAside  = 1000 // uploads that were refused for good and are kept to be looked at
)

// A spool keeps uploads of nodes on disk until the service has them, oldest first. When it is full it takes no more: the
// nodes keep their own.
type spool struct {
	dir   string
	limit int64 // bytes

	mu      sync.Mutex
	next    int64
	bytes   int64
	waiting []entry // oldest first
	counts  map[string]int
	changed chan struct{}
}

// An entry is a file of a spool.
type entry struct {
	name, from string
	size       int64
}

// spooled is an upload as it lies in the spool.
type spooled struct {
	From string      `json:"from"` // who brought it
	Sent api.Relayed `json:"sent"`
}

// openSpool reads what waits. What cannot be understood is put aside.
func openSpool(dir string, limit int64) (*spool, error) {
	s := &spool{dir: dir, limit: limit, counts: map[string]int{}, changed: make(chan struct{}, 1)}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = atomicfile.Sweep(dir)
	}
	var files []fs.DirEntry
	if err == nil {
		files, err = os.ReadDir(dir) // sorted
	}
	if err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	for _, f := range files {
		number, from, ok := cutName(f.Name())
		info, err := f.Info()
		if err != nil || !ok {
			continue // what was put aside
		}
		s.next = max(s.next, number)
		s.add(entry{f.Name(), from, info.Size()})
	}
	return s, nil
}

// fileName sorts by number.
func fileName(number int64, from string) string { return fmt.Sprintf("%016d-%s.json", number, from) }

func cutName(name string) (number int64, from string, ok bool) {
	base, isUpload := strings.CutSuffix(name, ".json")
	digits, from, _ := strings.Cut(base, "-")
	number, err := strconv.ParseInt(digits, 10, 64)
	return number, from, isUpload && err == nil && from != ""
}

// add takes note of a file; the caller holds the lock, or nobody else has the spool yet.
func (s *spool) add(e entry) {
	s.bytes += e.size
	s.counts[e.from]++
	at, _ := slices.BinarySearchFunc(s.waiting, e, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	s.waiting = slices.Insert(s.waiting, at, e)
}

// Put keeps an upload; when it returns nil, it survives a crash. ErrStore of package api when there is no room. With many,
// the sender is one for which the bound of a single node does not hold.
func (s *spool) Put(from string, many bool, r api.Relayed) error {
	data, err := json.Marshal(spooled{from, r})
	if err != nil {
		return fmt.Errorf("spooling an upload of %s: %w", from, err)
	}
	e := entry{from: from, size: int64(len(data))}
	s.mu.Lock()
	if s.bytes+e.size > s.limit || !many && s.counts[from] >= perSender {
		s.mu.Unlock()
		return api.Refuse(api.ErrStore, "the spool of the hub is full: its uplink does not take what waits")
	}
	s.next++
	e.name = fileName(s.next, from)
	s.bytes += e.size // taken while it is written
	s.mu.Unlock()
	err = atomicfile.Write(filepath.Join(s.dir, e.name), data, 0o600)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= e.size
	if err != nil {
		return fmt.Errorf("%w: spooling an upload of %s: %w", api.ErrStore, from, err)
	}
	s.add(e)
	nudge(s.changed)
	return nil
}

// Len is how many uploads wait, and how many bytes they are.
func (s *spool) Len() (files int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting), s.bytes
}

// verdict is what became of an upload.
type verdict int

const (
	delivered verdict = iota
	refused           // it would be refused again
	later             // this one not now
	away              // nothing now
)

// Drain gives what waits to deliver, a few at once, and removes what was taken. It ends when all were tried, or deliver says
// that nothing is taken now. Uploads can be put meanwhile.
func (s *spool) Drain(ctx context.Context, deliver func(context.Context, api.Relayed) verdict) error {
	s.mu.Lock()
	all := slices.Clone(s.waiting)
	s.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx)
	queue := make(chan entry)
	group.Go(func() error {
		defer close(queue)
		for _, e := range all {
			select {
			case queue <- e:
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	})
	for range min(couriers, len(all)) {
		group.Go(func() error {
			for e := range queue {
				if err := s.carry(ctx, e, deliver); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); !errors.Is(err, errAway) {
		return err
	}
	return nil
}

// errAway ends a drain.
var errAway = errors.New("the service is away")

// carry delivers one upload.
func (s *spool) carry(ctx context.Context, e entry, deliver func(context.Context, api.Relayed) verdict) error {
	path := filepath.Join(s.dir, e.name)
	var upload spooled
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the spool: %w", err)
	}
	if err := json.Unmarshal(data, &upload); err != nil { // the disk has not kept what it was given
		return errors.Join(s.drop(e), s.aside(path, ".damaged"))
	}
	switch deliver(ctx, upload.Sent) {
	case delivered:
		if err := s.drop(e); err != nil {
			return err
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing a delivered upload: %w", err)
		}
	case refused:
		return errors.Join(s.drop(e), s.aside(path, ".refused"))
	case later:
	case away:
		return errAway
	}
	return nil
}

// drop forgets an entry.
func (s *spool) drop(e entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found := slices.BinarySearchFunc(s.waiting, e, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	if !found {
		return fmt.Errorf("the spool does not know %s", e.name)
	}
	s.waiting = slices.Delete(s.waiting, at, at+1)
	s.bytes -= e.size
	if s.counts[e.from]--; s.counts[e.from] == 0 {
		delete(s.counts, e.from)
	}
	return nil
}

// aside keeps an upload to be looked at, and the newest of those only.
func (s *spool) aside(path, why string) error {
	if err := os.Rename(path, path+why); err != nil {
		return fmt.Errorf("putting an upload aside: %w", err)
	}
	old, err := filepath.Glob(filepath.Join(s.dir, "*.json.*")) // sorted
	for _, path := range old[:max(0, len(old)-putAside)] {
		if gone := os.Remove(path); !errors.Is(gone, fs.ErrNotExist) { // another courier does the same
			err = errors.Join(err, gone)
		}
	}
	return err
}
