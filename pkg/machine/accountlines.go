//go:build linux

package machine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

// line returns the fields of the line of an account, nil if the file has none.
func (a *accounts) line(file, account string, fields int) ([]string, error) {
	data, err := a.fs.Read(file, 0)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if f := accountFields(line, fields); f != nil && f[0] == account {
			return f, nil
		}
	}
	return nil, nil
}

// putLine replaces the line of an account, or adds it at the end.
func (a *accounts) putLine(ctx context.Context, file string, mode fs.FileMode, account, want string) error {
	return a.edit(ctx, file, mode, func(lines []string) []string {
		for i, line := range lines {
			if strings.HasPrefix(line, account+":") {
				lines[i] = want
				return lines
			}
		}
		return append(lines, want)
	})
}

func (a *accounts) dropLine(ctx context.Context, file string, mode fs.FileMode, account string) error {
	return a.edit(ctx, file, mode, func(lines []string) []string {
		return slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, account+":") })
	})
}

// join makes a user a member of exactly these groups.
func (a *accounts) join(ctx context.Context, account string, groups []string) error {
	return a.edit(ctx, groupFile, 0o644, func(lines []string) []string {
		for i, line := range lines {
			f := accountFields(line, 4)
			if f == nil {
				continue
			}
			members := split(f[3])
			has, want := slices.Contains(members, account), slices.Contains(groups, f[0])
			switch {
			case want && !has:
				members = append(members, account)
			case has && !want:
				members = slices.DeleteFunc(members, func(m string) bool { return m == account })
			default:
				continue
			}
			slices.Sort(members)
			f[3] = strings.Join(members, ",")
			lines[i] = strings.Join(f, ":")
		}
		return lines
	})
}

// edit rewrites an account file, which is made if it is not there. A file that does not change is not written.
func (a *accounts) edit(ctx context.Context, file string, mode fs.FileMode, change func([]string) []string) error {
	data, err := a.fs.Read(file, 0)
	attr := host.Attr{}
	if errors.Is(err, host.ErrNotFound) {
		attr.Mode = &mode
	} else if err != nil {
		return err
	}
	var lines []string
	if text := strings.TrimSuffix(string(data), "\n"); text != "" {
		lines = strings.Split(text, "\n")
	}
	text := strings.Join(change(lines), "\n")
	if text != "" {
		text += "\n"
	}
	if text == string(data) {
		return nil
	}
	return a.fs.Write(ctx, file, strings.NewReader(text), host.WriteOptions{Attr: attr})
}

// makeHome makes the home folder with a copy of the files of /etc/skel. Owners are set only by root: nobody else may
// give files away.
func (a *accounts) makeHome(ctx context.Context, u host.User) error {
	attr := host.Attr{}
	if os.Geteuid() == 0 {
		attr.UID, attr.GID = &u.UID, &u.GID
	}
	_, err := a.fs.Stat(u.Home)
	if err == nil || !errors.Is(err, host.ErrNotFound) {
		return err
	}
	mode := fs.FileMode(0o700)
	if err := a.fs.MakeDir(ctx, u.Home, host.Attr{Mode: &mode, UID: attr.UID, GID: attr.GID}); err != nil {
		return err
	}
	skel, err := a.fs.List("/etc/skel")
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return err
	}
	for _, e := range skel {
		if e.Kind != host.File {
			continue
		}
		src, err := a.fs.Open(path.Join("/etc/skel", e.Name))
		if err != nil {
			return err
		}
		attr.Mode = &e.Mode
		err = a.fs.Write(ctx, path.Join(u.Home, e.Name), src, host.WriteOptions{Attr: attr})
		src.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
