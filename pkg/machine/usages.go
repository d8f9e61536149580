//go:build linux

package machine

import (
	"sync"

	"golang.org/x/sys/unix"
)

// usages asks file systems how full they are. A call that hangs in the kernel, such as on a disk that dies, cannot be ended: it
// is left behind, and its thread with it, until the file system answers. Whoever asks again meanwhile waits for that call:
// with a thread for each run, an agent would be out of threads after some days.
type usages struct {
	mu    sync.Mutex
	asked map[string]*asking // by path
}

// An asking is a call that has not come back, until done is closed.
type asking struct {
	done chan struct{}
	st   unix.Statfs_t
	err  error
}

// ask begins a call for a path, unless there is one.
func (u *usages) ask(path string, call func() (unix.Statfs_t, error)) *asking {
	u.mu.Lock()
	defer u.mu.Unlock()
	if a := u.asked[path]; a != nil {
		return a
	}
	a := &asking{done: make(chan struct{})}
	if u.asked == nil {
		u.asked = map[string]*asking{}
	}
	u.asked[path] = a
	go func() {
		a.st, a.err = call()
		u.mu.Lock()
		delete(u.asked, path)
		u.mu.Unlock()
		close(a.done)
	}()
	return a
}
