//go:build linux

package machine

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// devices is host.Devices.
type devices struct{ tree *tree }

var _ host.Devices = (*devices)(nil)

// errNoDevice says that a path is neither a block device nor a regular file.
var errNoDevice = errors.New("is no block device")

// Device implements [host.Devices]. What it is, is looked at before it is opened: opening a tape winds it back, and opening
// a watchdog starts it.
func (d *devices) Device(name string) (host.Device, error) {
	fd, err := d.tree.open(name, unix.O_PATH)
	if err != nil {
		return host.Device{}, failed("opening", name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return host.Device{}, failed("opening", name, err)
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFBLK && kind != unix.S_IFREG {
		return host.Device{}, failed("opening", name, errNoDevice)
	}
	// Without O_NONBLOCK a drive waits for somebody to put something in.
	file, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return host.Device{}, failed("opening", name, errors.Unwrap(err))
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return host.Device{}, errors.Join(failed("asking for the size of", name, err), file.Close())
	}
	return host.Device{Content: file, Size: size}, nil
}
