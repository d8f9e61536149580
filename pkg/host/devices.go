package host

import "io"

// Devices is the block devices of a machine.
type Devices interface {
	// Device opens a block device for reading, or a regular file that stands for one (the image of a disk). Symbolic links
	// are followed, as those in /dev/disk and of LVM. ErrNotFound if it is not there; the caller closes it.
	Device(path string) (Device, error)
}

// A Device is an open block device.
type Device struct {
	Content interface {
		io.ReaderAt
		io.Closer
	}
	Size int64 // in bytes
}
