//go:build linux

package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// netns is a network namespace without a name: it lives as long as this process, a machine or a command holds it.
type netns struct {
	file *os.File
}

// newNetns makes a network namespace with nothing but a loopback interface that is up.
func newNetns() (*netns, error) {
	ns := &netns{}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		ns.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("making a network namespace: %w", err)
	}
	if err := ns.ip("link", "set", "lo", "up"); err != nil {
		ns.close()
		return nil, err
	}
	return ns, nil
}

// close lets go of the namespace.
func (ns *netns) close() error { return ns.file.Close() }

// path is where other processes find the namespace.
func (ns *netns) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.file.Fd()) }

// do runs fn on a thread that is in the namespace. What fn opens, or starts, belongs to the namespace.
func (ns *netns) do(fn func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(ns.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		return fn()
	})
}

// ip runs the program ip in the namespace.
func (ns *netns) ip(args ...string) error {
	path, err := lookTool("ip")
	if err != nil {
		return err
	}
	return ns.do(func() error {
		if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
		return nil
	})
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
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}
