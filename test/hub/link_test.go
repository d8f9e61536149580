package hub

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// newPlace makes a network namespace that lasts until the end of the test.
func newPlace(t *testing.T) *place {
	t.Helper()
	at := &place{}
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		at.netns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatalf("making a network namespace: %v", err)
	}
	t.Cleanup(func() { at.netns.Close() })
	at.ip(t, "link", "set", "lo", "up")
	return at
}

// ip runs the program ip in the namespace.
func (at *place) ip(t *testing.T, args ...string) {
	t.Helper()
	if err := at.do(func() error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}); err != nil {
		t.Fatalf("ip %s: %v", strings.Join(args, " "), err)
	}
}

// A link carries packets between two namespaces. The kernels of many machines lack the queueing discipline netem, so it is
// a pair of TUN devices whose packets pass through this process, which delays, loses or drops them.
type link struct {
	near, far string // addresses of the ends

	mu    sync.Mutex
	delay time.Duration // one way
	loss  float64       // of packets, each way
	cut   bool
	lost  int
}

// linkQueue is how many packets are on their way at once, as in the queue of an interface.
const linkQueue = 1000

// newLink joins two places by the subnet 10.78.N.0/30.
func newLink(t *testing.T, n int, near, far *place) *link {
	t.Helper()
	l := &link{near: fmt.Sprintf("10.78.%d.1", n), far: fmt.Sprintf("10.78.%d.2", n)}
	name := fmt.Sprint("link", n)
	a, b := near.tun(t, name, l.near), far.tun(t, name, l.far)
	var all sync.WaitGroup
	for _, way := range [][2]*os.File{{a, b}, {b, a}} {
		all.Go(func() { l.carry(way[0], way[1]) })
	}
	t.Cleanup(func() {
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Errorf("removing a link: %v", err)
		}
		all.Wait()
	})
	return l
}

// tun makes a device with an address; what is written to the file arrives at it, and the other way about.
func (at *place) tun(t *testing.T, name, address string) *os.File {
	t.Helper()
	var file *os.File
	if err := at.do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err == nil {
			request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
		}
		if err != nil {
			return errors.Join(err, unix.Close(fd))
		}
		file = os.NewFile(uintptr(fd), "/dev/net/tun")
		return nil
	}); err != nil {
		t.Fatalf("making device %s: %v", name, err)
	}
	at.ip(t, "addr", "add", address+"/30", "dev", name)
	at.ip(t, "link", "set", name, "up")
	return file
}

// set says how the link is from now on.
func (l *link) set(delay time.Duration, loss float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay, l.loss, l.cut = delay, loss, false
}

// sever lets nothing through any more, and tells nobody.
func (l *link) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
}

func (l *link) lostSoFar() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// fate is whether a packet arrives, and when.
func (l *link) fate() (arrives bool, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut || l.loss > 0 && rand.Float64() < l.loss {
		l.lost++
		return false, time.Time{}
	}
	return true, time.Now().Add(l.delay)
}

// carry carries packets one way until a device is closed.
func (l *link) carry(from, to *os.File) {
	type packet struct {
		at   time.Time
		data []byte
	}
	queue := make(chan packet, linkQueue)
	var out sync.WaitGroup
	out.Go(func() {
		for p := range queue {
			time.Sleep(time.Until(p.at)) // the way takes as long as it takes
			if _, err := to.Write(p.data); errors.Is(err, os.ErrClosed) {
				return
			}
		}
	})
	defer out.Wait()
	defer close(queue)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		arrives, at := l.fate()
		if !arrives {
			continue
		}
		select {
		case queue <- packet{at, append([]byte(nil), buf[:n]...)}:
		default: // the queue is full
		}
	}
}
