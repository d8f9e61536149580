package adopt

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"vigo.dev/pkg/host"
)

// packages adopts what somebody chose to install; what belongs to any system was not chosen.
func (c *collector) packages() error {
	if !c.db.there && c.asked("package") {
		return c.otherPackages()
	}
	for _, name := range slices.Sorted(maps.Keys(c.db.packages)) {
		p := c.db.packages[name]
		if strings.HasPrefix(name, "vigo") || !c.wants("package", name, p.held || !p.base && !c.db.auto[name]) {
			continue
		}
		r := Resource{Module: "packages", Type: "package", Identity: name}
		if p.held {
			r.Attrs = map[string]any{"hold": true}
		}
		c.offer(r)
	}
	return nil
}

// otherPackages is packages for a machine without dpkg. Which of them were chosen only apk says, in /etc/apk/world.
func (c *collector) otherPackages() error {
	all, err := c.h.Packages.All(c.ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at packages: %w", err)
	}
	world, err := optional(c.h.FS, "/etc/apk/world")
	if err != nil {
		return fmt.Errorf("looking at packages: %w", err)
	}
	chosen := strings.Fields(string(world))
	for _, p := range all {
		if c.wants("package", p.Name, p.Held || slices.Contains(chosen, p.Name)) {
			c.offer(Resource{Module: "packages", Type: "package", Identity: p.Name})
		}
	}
	return nil
}

// settings adopts the name and the time zone of the machine.
func (c *collector) settings() error {
	name, err := c.h.Kernel.Hostname(c.ctx)
	if errors.Is(err, errors.ErrUnsupported) { // another root folder
		var data []byte
		data, err = optional(c.h.FS, "/etc/hostname")
		name = strings.TrimSpace(string(data))
	}
	if err != nil {
		return fmt.Errorf("looking at the host name: %w", err)
	}
	if name != "" && c.wants("hostname", name, true) {
		c.offer(Resource{Module: "system", Type: "hostname", Identity: name})
	}
	info, err := c.h.FS.Stat("/etc/localtime")
	if errors.Is(err, host.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at the time zone: %w", err)
	}
	_, zone, ok := strings.Cut(info.Target, "/zoneinfo/")
	if ok && c.wants("timezone", zone, true) {
		c.offer(Resource{Module: "system", Type: "timezone", Identity: zone})
	}
	return nil
}

// mounts adopts the lines of /etc/fstab.
func (c *collector) mounts() error {
	text, err := c.lines("mount", "/etc/fstab")
	for _, line := range text {
		f := strings.Fields(line)
		if len(f) < 3 || !path.IsAbs(f[1]) || !c.wants("mount", f[1], true) {
			continue
		}
		attrs := map[string]any{"device": f[0], "type": f[2]}
		if strings.Contains(line, "password=") || strings.Contains(line, `\`) {
			c.leaveOut("mount", f[1], "its line holds a password or special characters")
			continue
		}
		if len(f) > 3 && f[3] != "defaults" {
			attrs["options"] = list(strings.Split(f[3], ","))
		}
		for i, key := range []string{"dump", "pass"} {
			if len(f) > 4+i {
				if n, err := strconv.Atoi(f[4+i]); err == nil && n != 0 {
					attrs[key] = n
				}
			}
		}
		atBoot := maps.Clone(attrs)
		atBoot["ensure"] = "present"
		c.offer(Resource{Module: "storage", Type: "mount", Identity: f[1], Attrs: attrs}, Resource{Module: "storage", Type: "mount", Identity: f[1], Attrs: atBoot})
	}
	return err
}

// lines returns the lines of a small file without comments and white space around them.
func (c *collector) lines(typ, name string) ([]string, error) {
	if !c.asked(typ) {
		return nil, nil
	}
	data, err := optional(c.h.FS, name)
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", name, err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// hostEntries adopts /etc/hosts, but for what every machine has.
func (c *collector) hostEntries() error {
	text, err := c.lines("host_entry", "/etc/hosts")
	for _, line := range text {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		usual := !strings.HasPrefix(f[0], "127.") && !strings.HasPrefix(f[0], "ff") && f[0] != "::1" && f[0] != "fe00::0"
		if !c.wants("host_entry", f[1], usual) {
			continue
		}
		r := Resource{Module: "network", Type: "host_entry", Identity: f[1], Attrs: map[string]any{"ip": f[0]}}
		if c.seen["host_entry:"+f[1]] { // the other family
			r.Identity += "-" + f[0]
			r.Attrs["name"] = f[1]
		}
		if len(f) > 2 {
			r.Attrs["aliases"] = list(f[2:])
		}
		c.offer(r)
	}
	return err
}

// sysctls adopts the files that set parameters of the kernel, and their values now.
func (c *collector) sysctls() error {
	if !c.asked("sysctl") {
		return nil
	}
	values := map[string]string{}
	var keys []string
	entries, err := c.h.FS.List("/etc/sysctl.d")
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return fmt.Errorf("looking at kernel parameters: %w", err)
	}
	names := []string{}
	for _, e := range entries {
		if name := "/etc/sysctl.d/" + e.Name; strings.HasSuffix(name, ".conf") && e.Kind == host.File && c.db.owner[name] == "" {
			names = append(names, name)
			if len(c.Select) > 0 {
				if err := c.file("sysctl", name, e, "kernel", true); err != nil {
					return err
				}
			}
		}
	}
	for _, name := range append(names, "/etc/sysctl.conf") { // the order in which they are read
		lines, err := c.lines("sysctl", name)
		if err != nil {
			return err
		}
		for _, line := range lines {
			key, value, ok := strings.Cut(strings.TrimPrefix(line, "-"), "=")
			if key = strings.TrimSpace(key); ok && !strings.ContainsAny(key, "*;") && key != "" {
				keys, values[key] = append(keys, key), strings.Join(strings.Fields(value), " ")
			}
		}
	}
	for _, key := range keys {
		if _, err := c.h.Kernel.Sysctl(c.ctx, key); errors.Is(err, errors.ErrUnsupported) {
			return nil // no kernel of this machine's own: the files say it all
		}
		if c.wants("sysctl", key, true) {
			c.offer(Resource{Module: "kernel", Type: "sysctl", Identity: key, Attrs: map[string]any{"value": values[key], "persist": false}})
		}
	}
	return nil
}

// crontabs adopts the jobs that people made: files in /etc/cron.d, and the tables of users.
func (c *collector) crontabs() error {
	if !c.asked("cron") {
		return nil
	}
	for _, dir := range []string{"/etc/cron.d", "/var/spool/cron/crontabs"} {
		entries, err := c.h.FS.List(dir)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if errors.Is(err, fs.ErrPermission) {
			c.leaveOut("cron", dir, "%s", notAllowed)
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at jobs: %w", err)
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name)
			usual := c.db.owner[name] == "" || c.db.conffiles[name] != ""
			if e.Kind != host.File || e.Name == ".placeholder" || strings.HasPrefix(e.Name, "vigo-") || !c.wants("cron", e.Name, usual) {
				continue
			}
			if err := c.file("cron", name, e, "cron", false); err != nil {
				return err
			}
		}
	}
	return nil
}

// repositories adopts sources of packages as the files they are: there are many ways to write one.
func (c *collector) repositories() error {
	if !c.asked("repository") {
		return nil
	}
	const dir = "/etc/apt/sources.list.d"
	entries, err := c.h.FS.List(dir)
	if err != nil && !errors.Is(err, host.ErrNotFound) {
		return fmt.Errorf("looking at repositories: %w", err)
	}
	for _, e := range entries {
		name := strings.TrimSuffix(strings.TrimSuffix(e.Name, ".sources"), ".list")
		if e.Kind != host.File || name == e.Name || !c.wants("repository", name, c.db.owner[path.Join(dir, e.Name)] == "") {
			continue
		}
		if err := c.file("repository", path.Join(dir, e.Name), e, "repositories", false); err != nil {
			return err
		}
	}
	return nil
}
