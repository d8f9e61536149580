//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// kernel is host.Kernel. In another root folder there is a kernel only as far as the folder has files in /proc/sys.
type kernel struct{ fs *files }

var _ host.Kernel = (*kernel)(nil)

const sysctlDir = "/proc/sys"

// sysctlPath turns a key into its file. Dots and slashes change roles in keys that begin with slashes, as in
// sysctl(8): net/ipv4/conf/eth0.100/forwarding.
func sysctlPath(key string) (string, error) {
	name := key
	if !strings.Contains(key, "/") {
		name = strings.ReplaceAll(key, ".", "/")
	}
	full := path.Join(sysctlDir, name)
	if key == "" || full != sysctlDir+"/"+name {
		return "", fmt.Errorf("%q is not the name of a kernel parameter", key)
	}
	return full, nil
}

// Sysctl implements [host.Kernel].
func (k *kernel) Sysctl(_ context.Context, key string) (string, error) {
	name, err := sysctlPath(key)
	if err != nil {
		return "", err
	}
	data, err := k.fs.Read(name, 1<<20)
	if errors.Is(err, host.ErrNotFound) {
		if _, missing := k.fs.Stat(sysctlDir); missing != nil && !k.fs.tree.live() {
			return "", refuse("reading kernel parameter " + key)
		}
		return "", fmt.Errorf("kernel parameter %s: %w", key, host.ErrNotFound)
	}
	return strings.TrimRight(string(data), "\n"), err
}

// SetSysctl implements [host.Kernel].
func (k *kernel) SetSysctl(ctx context.Context, key, value string) error {
	name, err := sysctlPath(key)
	if err != nil {
		return err
	}
	if strings.ContainsAny(value, "\n\x00") {
		return fmt.Errorf("setting kernel parameter %s: the value has more than one line", key)
	}
	if !k.fs.tree.live() {
		if _, err := k.Sysctl(ctx, key); err != nil {
			return err
		}
		return k.fs.Write(ctx, name, strings.NewReader(value+"\n"), host.WriteOptions{})
	}
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return failed("setting kernel parameter", key, err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(value+"\n")) // in one call: the kernel takes each write as a whole value
	return failed("setting kernel parameter", key, err)
}

// Hostname implements [host.Kernel].
func (k *kernel) Hostname(ctx context.Context) (string, error) {
	if !k.fs.tree.live() {
		return k.Sysctl(ctx, "kernel.hostname")
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", failed("reading", "the host name", err)
	}
	return unix.ByteSliceToString(u.Nodename[:]), nil
}

// SetHostname implements [host.Kernel].
func (k *kernel) SetHostname(ctx context.Context, name string) error {
	if !k.fs.tree.live() {
		return k.SetSysctl(ctx, "kernel.hostname", name)
	}
	return failed("setting", "the host name", unix.Sethostname([]byte(name)))
}

// Interfaces implements [host.Kernel]. The interfaces are those of the running kernel, whatever the root folder.
func (k *kernel) Interfaces(context.Context) ([]host.Interface, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("listing network interfaces: %w", err)
	}
	out := make([]host.Interface, 0, len(all))
	for _, i := range all {
		one := host.Interface{
			Index: i.Index, Name: i.Name, MAC: i.HardwareAddr.String(), MTU: i.MTU,
			Up: i.Flags&net.FlagUp != 0, Loopback: i.Flags&net.FlagLoopback != 0,
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("listing addresses of %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			one.Addresses = append(one.Addresses, a.String())
		}
		out = append(out, one)
	}
	return out, nil
}
