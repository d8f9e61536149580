package host

import "context"

// Kernel is what the running kernel lets one set.
type Kernel interface {
	// Sysctl returns the value of a key such as "net.ipv4.ip_forward", with inner white space as the kernel gives
	// it; ErrNotFound if the kernel has no such key.
	Sysctl(ctx context.Context, key string) (string, error)
	SetSysctl(ctx context.Context, key, value string) error
	Hostname(ctx context.Context) (string, error)
	SetHostname(ctx context.Context, name string) error
	// Interfaces describes the network interfaces with their addresses, by index.
	Interfaces(ctx context.Context) ([]Interface, error)
}

// An Interface is one network interface.
type Interface struct {
	Index     int
	Name      string
	MAC       string
	MTU       int
	Up        bool
	Loopback  bool
	Addresses []string // in CIDR form, such as "192.0.2.7/24"
}

// Mounts is the table of mounted file systems.
type Mounts interface {
	// All describes what is mounted, in the order of mounting.
	All(ctx context.Context) ([]Mount, error)
	Mount(ctx context.Context, m Mount) error
	Remount(ctx context.Context, m Mount) error
	// Unmount unmounts what is mounted at path; ErrBusy if it is in use.
	Unmount(ctx context.Context, path string) error
	// Usage tells how full the file system mounted at path is. It returns when ctx ends even if the file system
	// hangs (a dead NFS server).
	Usage(ctx context.Context, path string) (Usage, error)
}

// Usage is how full a file system is.
type Usage struct {
	Bytes, BytesFree, BytesAvailable uint64 // available: to those who are not root
	Inodes, InodesFree               uint64
	ReadOnly                         bool
}

// A Mount is one mounted file system.
type Mount struct {
	Source  string
	Path    string
	Type    string
	Options []string
}
