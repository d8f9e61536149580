//go:build linux

package fleet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// frameSize holds the largest frame of an interface with the usual MTU, and more.
const frameSize = 4096

// relay carries frames between two interfaces, late, and loses some.
type relay struct {
	ends  [2]*os.File
	delay atomic.Int64  // nanoseconds
	loss  atomic.Uint64 // of 1<<32
	done  sync.WaitGroup
	quit  chan struct{}
}

// frame is one on its way.
type frame struct {
	due  time.Time
	data []byte
}

// openRelay makes two interfaces in a namespace and starts to carry frames between them.
func openRelay(ns *netns, names [2]string) (*relay, error) {
	r := &relay{quit: make(chan struct{})}
	for i, name := range names {
		err := ns.do(func() (err error) {
			r.ends[i], err = openTap(name)
			return err
		})
		if err != nil {
			r.close()
			return nil, err
		}
	}
	for i := range r.ends {
		way := make(chan frame, 4096)
		r.done.Go(func() { r.receive(r.ends[i], way) })
		r.done.Go(func() { r.send(r.ends[1-i], way) })
	}
	return r, nil
}

// openTap makes an interface whose frames are read from, and written to, the file.
func openTap(name string) (*os.File, error) {
	const device = "/dev/net/tun"
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", device, err)
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making interface %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// set changes how bad the link is.
func (r *relay) set(d time.Duration, loss float64) {
	r.delay.Store(int64(d))
	r.loss.Store(uint64(loss * (1 << 32)))
}

// receive reads frames and loses some; also those for which there is no room, as a full queue does.
func (r *relay) receive(from *os.File, way chan<- frame) {
	defer close(way)
	buf := make([]byte, frameSize)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return // closed
		}
		if uint64(rand.Uint32()) < r.loss.Load() {
			continue
		}
		f := frame{due: time.Now().Add(time.Duration(r.delay.Load())), data: append([]byte(nil), buf[:n]...)}
		select {
		case way <- f:
		default:
		}
	}
}

// send writes frames when they are due, in order.
func (r *relay) send(to *os.File, way <-chan frame) {
	for f := range way {
		select {
		case <-time.After(time.Until(f.due)):
		case <-r.quit:
			return
		}
		// A frame that cannot be delivered is lost, as on a real link: the interface may be down.
		_, _ = to.Write(f.data)
	}
}

// close removes both interfaces; it returns when nothing is carried any more.
func (r *relay) close() error {
	close(r.quit)
	var errs []error
	for _, end := range r.ends {
		if end != nil {
			errs = append(errs, end.Close())
		}
	}
	r.done.Wait()
	return errors.Join(errs...)
}
