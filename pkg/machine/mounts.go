//go:build linux

package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

// mounts is host.Mounts. Only the running machine mounts; another root folder has what its /proc says, if it has one.
type mounts struct {
	fs     *files
	run    *runner
	usages *usages
}

var _ host.Mounts = (*mounts)(nil)

const mountinfoFile = "/proc/self/mountinfo"

// All implements [host.Mounts].
func (m *mounts) All(context.Context) ([]host.Mount, error) {
	data, err := m.fs.Read(mountinfoFile, 0)
	if errors.Is(err, host.ErrNotFound) && !m.fs.tree.live() {
		return nil, refuse("listing mounts")
	}
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	return parseMountinfo(data), nil
}

// parseMountinfo reads proc_pid_mountinfo(5); lines that are damaged are passed over.
func parseMountinfo(data []byte) []host.Mount {
	var all []host.Mount
	for line := range bytes.Lines(data) {
		before, after, ok := strings.Cut(strings.TrimRight(string(line), "\n"), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 6 || len(right) < 2 {
			continue
		}
		mnt := host.Mount{Source: unescape(right[1]), Path: unescape(left[4]), Type: right[0]}
		mnt.Options = strings.Split(left[5], ",")
		if len(right) > 2 {
			for opt := range strings.SplitSeq(right[2], ",") {
				if opt != "rw" && opt != "ro" { // of the file system; the mount's own count
					mnt.Options = append(mnt.Options, unescape(opt))
				}
			}
		}
		all = append(all, mnt)
	}
	return all
}

// unescape reads the octal escapes of mount tables: \040 is a space.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) && s[i+1] < '4' {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }

// Mount implements [host.Mounts].
func (m *mounts) Mount(ctx context.Context, mnt host.Mount) error {
	argv := []string{"mount"}
	if mnt.Type != "" {
		argv = append(argv, "-t", mnt.Type)
	}
	if len(mnt.Options) > 0 {
		argv = append(argv, "-o", strings.Join(mnt.Options, ","))
	}
	return m.program(ctx, append(argv, "--", mnt.Source, mnt.Path)...)
}

// Remount implements [host.Mounts].
func (m *mounts) Remount(ctx context.Context, mnt host.Mount) error {
	options := strings.Join(append([]string{"remount"}, mnt.Options...), ",")
	return m.program(ctx, "mount", "-o", options, "--", mnt.Path)
}

// Unmount implements [host.Mounts].
func (m *mounts) Unmount(ctx context.Context, path string) error {
	return m.program(ctx, "umount", "--", path)
}

func (m *mounts) program(ctx context.Context, argv ...string) error {
	res, err := m.run.Run(ctx, host.Command{Argv: argv})
	if err != nil || res.Code == 0 {
		return err
	}
	err = fmt.Errorf("%s %s: exit status %d: %s", argv[0], argv[len(argv)-1], res.Code, lastWords(res.Stderr))
	if bytes.Contains(res.Stderr, []byte("busy")) {
		err = fmt.Errorf("%w: %w", host.ErrBusy, err)
	}
	return err
}

// Usage implements [host.Mounts].
func (m *mounts) Usage(ctx context.Context, path string) (host.Usage, error) {
	a := m.usages.ask(path, func() (st unix.Statfs_t, err error) {
		fd, err := m.fs.tree.open(path, unix.O_PATH)
		if err != nil {
			return st, err
		}
		defer unix.Close(fd)
		return st, unix.Fstatfs(fd, &st)
	})
	select {
	case <-ctx.Done():
		return host.Usage{}, fmt.Errorf("asking %s for its usage: %w", path, context.Cause(ctx))
	case <-a.done:
	}
	if a.err != nil {
		return host.Usage{}, failed("asking for the usage of", path, a.err)
	}
	size := uint64(a.st.Frsize)
	if size == 0 {
		size = uint64(a.st.Bsize)
	}
	return host.Usage{
		Bytes: a.st.Blocks * size, BytesFree: a.st.Bfree * size, BytesAvailable: a.st.Bavail * size,
		Inodes: a.st.Files, InodesFree: a.st.Ffree, ReadOnly: a.st.Flags&unix.ST_RDONLY != 0,
	}, nil
}
