package registry

import (
	"errors"
	"io/fs"
	"path/filepath"
	"sync"
	"time"
)

// The ages at which what was measured of the folder is measured again: when somebody wants to know, and before somebody is
// sent away because of it.
const (
	measureEvery = time.Minute
	measureAgain = time.Second
)

// usage knows how many bytes the folder of a registry holds. Between two looks at the disk it adds up what comes in; what goes
// is seen by the next look.
type usage struct {
	dir   string
	quota int64 // 0: none

	measuring sync.Mutex // held by one look at a time

	mu    sync.Mutex
	bytes int64
	at    time.Time // of the last look
	err   error     // of the last look
}

// measure looks at the disk, unless that was done a moment ago.
func (u *usage) measure(age time.Duration) {
	u.measuring.Lock()
	defer u.measuring.Unlock()
	u.mu.Lock()
	before, fresh := u.bytes, !u.at.IsZero() && time.Since(u.at) < age
	u.mu.Unlock()
	if fresh {
		return
	}
	n, err := sizeOf(u.dir)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.at, u.err = time.Now(), err
	if err == nil {
		u.bytes = n + max(0, u.bytes-before) // what came in meanwhile may not have been seen
	}
}

// used is about how many bytes there are.
func (u *usage) used() int64 {
	u.measure(measureEvery)
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.bytes
}

// take adds bytes, if there is room for them below a part of the quota in percent; 0: whether there is or not.
func (u *usage) take(n, percent int64) bool {
	if u.add(n, percent) {
		return true
	}
	u.measure(measureAgain) // something may have been collected
	return u.add(n, percent)
}

func (u *usage) add(n, percent int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.quota > 0 && percent > 0 && u.bytes+n > u.quota/100*percent {
		return false
	}
	u.bytes += n
	return true
}

// fits says whether there is room for that much now.
func (u *usage) fits(n, percent int64) bool {
	if !u.take(n, percent) {
		return false
	}
	u.give(n)
	return true
}

// give takes back what did not stay.
func (u *usage) give(n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes = max(0, u.bytes-n)
}

// sizeOf adds up the files below a folder. Those that vanish meanwhile do not count.
func sizeOf(dir string) (total int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				total += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return total, err
}
