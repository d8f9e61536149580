package hub

import (
	"errors"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// do runs fn on a thread that is in the namespace of the place. What fn opens, or starts, belongs to it.
func (at *place) do(fn func() error) error {
	if at.netns == nil {
		return fn()
	}
	return onThread(func() error {
		if err := at.enter(); err != nil {
			return err
		}
		return fn()
	})
}

// enter moves this thread, which must be locked, into the namespace of the place.
func (at *place) enter() error {
	if at.netns == nil {
		return nil
	}
	return unix.Setns(int(at.netns.Fd()), unix.CLONE_NEWNET)
}

// onThread runs fn on a thread of its own, which may change its network namespace: it is put back afterwards, and the
// thread is given up if that fails.
func onThread(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		err = fn()
		back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET)
		if back == nil {
			runtime.UnlockOSThread()
		}
		done <- errors.Join(err, back)
	}()
	return <-done
}
