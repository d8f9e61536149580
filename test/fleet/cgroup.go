//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	groupPrefix = "vigo-fleet-"
	groupFile   = "cgroup" // in the directory of a machine: where its control group is
)

// cgroups says where control groups are mounted here.
type cgroups struct {
	unified string // the mount point of version 2
	systemd string // that of the tree systemd keeps on a computer with both versions; often ""
	own     string // the path of this process in version 2
}

// findCgroups reads the mounts of this computer. Version 2 must be there, alone or beside version 1.
func findCgroups() (cgroups, error) {
	var c cgroups
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return c, fmt.Errorf("finding control groups: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		mount, super, ok := strings.Cut(line, " - ")
		m, s := strings.Fields(mount), strings.Fields(super)
		if !ok || len(m) < 5 || len(s) < 3 {
			continue
		}
		switch {
		case s[0] == "cgroup2":
			c.unified = m[4]
		case s[0] == "cgroup" && slices.Contains(strings.Split(s[2], ","), "name=systemd"):
			c.systemd = m[4]
		}
	}
	if c.unified == "" {
		return c, errors.New("control groups of version 2 are not mounted")
	}
	c.own, err = cgroupOf("self")
	return c, err
}

// cgroupOf returns the path of a process in version 2.
func cgroupOf(pid string) (string, error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "cgroup"))
	if err != nil {
		return "", fmt.Errorf("finding the control group of %s: %w", pid, err)
	}
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(line, "0::"); ok {
			return strings.TrimSpace(path), nil
		}
	}
	return "", fmt.Errorf("finding the control group of %s: it is in none of version 2", pid)
}

// cgroup is the control group of one machine. systemd-nspawn makes others inside it, and, where systemd keeps a tree of
// its own, one of the same path there.
type cgroup struct {
	dirs []string // the first is that of version 2
}

// newCgroup makes the control group of the machine in a directory, below that of this process.
func newCgroup(workdir string) (cgroup, error) {
	c, err := findCgroups()
	if err != nil {
		return cgroup{}, err
	}
	var g cgroup
	for _, mount := range []string{c.unified, c.systemd} {
		if mount != "" {
			g.dirs = append(g.dirs, filepath.Join(mount, c.own, filepath.Base(workdir)))
		}
	}
	// Written down first: what is made can be removed by the next run.
	if err := os.WriteFile(filepath.Join(workdir, groupFile), []byte(strings.Join(g.dirs, "\n")), 0o644); err != nil {
		return cgroup{}, fmt.Errorf("making a control group: %w", err)
	}
	return g, g.create()
}

// savedCgroup returns the control group newCgroup made for a directory; none when it did not come that far.
func savedCgroup(workdir string) (cgroup, error) {
	text, err := os.ReadFile(filepath.Join(workdir, groupFile))
	if errors.Is(err, fs.ErrNotExist) {
		return cgroup{}, nil
	}
	if err != nil {
		return cgroup{}, fmt.Errorf("finding a control group: %w", err)
	}
	var g cgroup
	for _, dir := range strings.Fields(string(text)) {
		if filepath.Base(dir) == filepath.Base(workdir) {
			g.dirs = append(g.dirs, dir)
		}
	}
	return g, nil
}

// create makes the group.
func (g cgroup) create() error {
	if err := os.Mkdir(g.dirs[0], 0o755); err != nil {
		return fmt.Errorf("making a control group: %w", err)
	}
	return nil
}

// open opens the group, or one inside it that is made when it is missing, for a process to be started in.
func (g cgroup) open(sub string) (*os.File, error) {
	dir := filepath.Join(g.dirs[0], sub)
	if sub != "" {
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return os.Open(dir)
}

// kill kills what runs in the group.
func (g cgroup) kill() error {
	return os.WriteFile(filepath.Join(g.dirs[0], "cgroup.kill"), []byte("1"), 0)
}

// remove kills what runs in the group, waits until it is gone and removes the group.
func (g cgroup) remove() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for i, dir := range g.dirs {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if i == 0 {
			if err := g.kill(); err != nil {
				return fmt.Errorf("ending the processes of a control group: %w", err)
			}
		}
		err := WaitFor(ctx, 10*time.Millisecond, func(context.Context) error { return removeGroups(dir) })
		if err != nil {
			return fmt.Errorf("removing a control group: %w", err)
		}
	}
	return nil
}

// removeGroups removes a control group and those inside it, the innermost first. It fails while a process is in one.
func removeGroups(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(dirs) {
		if err := unix.Rmdir(path); err != nil && err != unix.ENOENT {
			return &fs.PathError{Op: "rmdir", Path: path, Err: err}
		}
	}
	return nil
}
