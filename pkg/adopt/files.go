package adopt

import (
	"bytes"
	"crypto/md5" // what dpkg and ucf compare with; nothing is trusted for it
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Where people put files.
var fileRoots = []string{"/etc", "/usr/local/bin", "/usr/local/sbin", "/usr/local/etc", "/usr/local/lib"}

// Files that machines make themselves, that other types are for, or that are nobody's configuration.
var generated = []string{
	"/etc/passwd*", "/etc/group*", "/etc/shadow*", "/etc/gshadow*", "/etc/subuid*", "/etc/subgid*", "/etc/.pwd.lock", "/etc/machine-id",
	"/etc/hostname", "/etc/hosts", "/etc/localtime", "/etc/timezone", "/etc/fstab", "/etc/mtab", "/etc/resolv.conf", "/etc/adjtime",
	"/etc/ld.so.cache", "/etc/.updated", "/etc/alternatives**", "/etc/rc?.d**", "/etc/ssl/certs**", "/etc/ca-certificates.conf", "/etc/ssh/ssh_host_*",
	"/etc/ssh/moduli", "/etc/fonts/conf.d**", "/etc/apparmor.d/cache**", "/etc/apparmor.d/local**", "/etc/udev/hwdb.bin", "/etc/mailname", "/etc/vigo**", "/usr/local/bin/vigo*",
	"/etc/systemd/**.wants", "/etc/systemd/**.wants/**", "/etc/systemd/**.requires**", "/etc/systemd/system/vigo*", "/etc/credstore**", "/etc/.git**", "/etc/.etckeeper",
	"/etc/pam.d/common-*", "/etc/xml**", "/etc/shells", "/etc/dpkg/origins/default", "/etc/opt", "**.dpkg-*", "**.ucf-*", "**~", "**.swp", "**.bak", "/etc/cron.d**", "/usr/local/lib/python*", "/usr/local/lib/python*/**", "/etc/containers/networks**",
}

// Files that a package copies when it is installed, with where from.
var copies = map[string][]string{
	"/etc/motd": {"/usr/share/base-files/motd"}, "/etc/profile": {"/usr/share/base-files/profile"}, "/root/.bashrc": {"/usr/share/base-files/dot.bashrc"},
	"/etc/nsswitch.conf": {"/usr/share/libc-bin/nsswitch.conf", "/usr/share/base-files/nsswitch.conf"},
}

// notAllowed is why something is left out that this user may not read.
const notAllowed = "may not be read; run this as root"

// files adopts files, directories and links that people made, and configuration of packages that they changed.
func (c *collector) files() error {
	if !c.asked("file", "directory", "symlink") {
		return nil
	}
	roots := fileRoots
	if len(c.Select) > 0 {
		roots = nil
		for _, pattern := range slices.Concat(c.Select["file"], c.Select["directory"], c.Select["symlink"]) {
			roots = append(roots, rootOf(pattern))
		}
	}
	slices.Sort(roots)
	done := ""
	for _, root := range slices.Compact(roots) {
		if done != "" && (root == done || strings.HasPrefix(root, strings.TrimSuffix(done, "/")+"/")) {
			continue
		}
		info, err := c.h.FS.Stat(root)
		if errors.Is(err, host.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at %s: %w", root, err)
		}
		if done = root; info.Kind == host.Dir {
			err = c.walk(root)
		} else {
			err = c.path(root, info)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rootOf is the folder that everything a pattern matches is in, or the path it is.
func rootOf(pattern string) string {
	at := strings.IndexAny(pattern, "*?[")
	if at < 0 {
		return path.Clean("/" + pattern)
	}
	return path.Clean("/" + pattern[:strings.LastIndexByte(pattern[:at], '/')+1])
}

func (c *collector) walk(dir string) error {
	entries, err := c.h.FS.List(dir)
	if errors.Is(err, fs.ErrPermission) {
		c.leaveOut("directory", dir, "%s", notAllowed)
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", dir, err)
	}
	for _, e := range entries {
		if c.entries++; c.entries > maxEntries {
			return fmt.Errorf("looking at files: there are more than %d below what was asked for", maxEntries)
		}
		name := path.Join(dir, e.Name)
		if slices.ContainsFunc(generated, func(pattern string) bool { return matches(pattern, name) }) {
			continue
		}
		if err := c.path(name, e); err != nil {
			return err
		}
		if e.Kind == host.Dir {
			if err := c.walk(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// path adopts what is at a path.
func (c *collector) path(name string, info host.Info) error {
	if !portable(name) {
		if info.Kind == host.File && c.wants("file", name, true) {
			c.leaveOut("file", fmt.Sprintf("%q", name), "has a name that cannot be shown or is too long, or lies too deep")
		}
		return nil
	}
	_, owned := c.db.owner[name]
	usual := !owned && len(c.Select) == 0 && c.db.there
	if usual && c.db.mentions(name) && copies[name] == nil && c.db.ucf[name] == "" {
		usual = false
		if info.Kind == host.File && info.Size > 0 && c.wants("file", name, true) {
			c.leaveOut("file", name, "was made by a package; name it with --file if somebody changed it")
		}
	}
	switch info.Kind {
	case host.Dir:
		if c.wants("directory", name, usual) {
			c.offer(Resource{Module: topicOf(name + "/"), Type: "directory", Identity: name, Attrs: c.ownership(info)})
		}
	case host.Symlink:
		if c.wants("symlink", name, usual && !strings.HasPrefix(info.Target, "/etc/alternatives/") && !isUnitLink(name)) {
			c.offer(Resource{Module: topicOf(name), Type: "symlink", Identity: name, Attrs: map[string]any{"target": info.Target}})
		}
	case host.File:
		_, delivered := c.db.conffiles[name]
		if c.wants("file", name, usual || delivered) {
			return c.file("file", name, info, topicOf(name), len(c.Select) > 0)
		}
	}
	return nil
}

// portable reports whether a bundle can hold a file of this name, below modules/NAME/files.
func portable(name string) bool {
	const depth, length = 20, 400
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) &&
		strings.Count(name, "/") <= depth && len(name) <= length
}

// file adopts a file, unless it is as it was delivered and was not asked for.
func (c *collector) file(typ, name string, info host.Info, module string, asked bool) error {
	data, why, err := c.read(name, info)
	if err != nil {
		return err
	}
	if why != "" {
		c.leaveOut(typ, name, "%s", why)
		return nil
	}
	if !asked && c.delivered(name, data) {
		return nil
	}
	if why := secretOf(name, info.Mode, data); why != "" {
		c.leaveOut(typ, name, "%s; if it belongs into the policy, put it into a secret (vigo secret set)", why)
		return nil
	}
	r := Resource{Module: module, Type: "file", Identity: name, Attrs: c.ownership(info)}
	if inline(data) {
		r.Attrs["content"] = string(data)
	} else {
		r.Attrs["source"], r.data = strings.TrimPrefix(name, "/"), data
	}
	c.offer(r)
	return nil
}

// read returns the content of a file, or why it is left out.
func (c *collector) read(name string, info host.Info) (data []byte, why string, err error) {
	switch {
	case info.Size > c.MaxFile:
		return nil, fmt.Sprintf("has %d bytes, more than the %d of --max-file", info.Size, c.MaxFile), nil
	case c.total+info.Size > maxTotal:
		return nil, fmt.Sprintf("all files together have more than %d bytes", maxTotal), nil
	}
	c.total += info.Size
	data, err = c.h.FS.Read(name, c.MaxFile)
	if errors.Is(err, host.ErrNotFound) { // it went away
		return nil, "went away", nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, notAllowed, nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", name, err)
	}
	return data, "", nil
}

// delivered reports whether a file is as its package brought it.
func (c *collector) delivered(name string, data []byte) bool {
	sum := fmt.Sprintf("%x", md5.Sum(data))
	if c.db.conffiles[name] == sum || c.db.ucf[name] == sum {
		return true
	}
	for _, from := range copies[name] {
		if is, err := c.h.FS.Read(from, c.MaxFile); err == nil && bytes.Equal(is, data) {
			return true
		}
	}
	return false
}

// ownership is mode, owner and group as a policy says them; root is not said.
func (c *collector) ownership(info host.Info) map[string]any {
	attrs := map[string]any{"mode": resource.FormatMode(info.Mode)}
	if info.UID != 0 {
		attrs["owner"] = nameOr(c.users, info.UID)
	}
	if info.GID != 0 {
		attrs["group"] = nameOr(c.groups, info.GID)
	}
	return attrs
}

func nameOr(names map[int]string, id int) string {
	if name, ok := names[id]; ok {
		return name
	}
	return fmt.Sprint(id)
}

// inline reports whether content is short enough to stand in the module, and can be written there as it is.
func inline(data []byte) bool {
	const most, lines = 2 << 10, 40
	return len(data) > 0 && len(data) <= most && bytes.Count(data, []byte("\n")) <= lines && isText(data) && !bytes.Contains(data, []byte("{{")) &&
		data[0] != ' ' && data[0] != '\n' && data[0] != '\t' && !bytes.ContainsFunc(data, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r > 0x7e && r < 0xa0 || r > 0x2000 && r < 0x2030 || r == 0xfeff
	})
}

// isUnitLink reports whether a link is one that systemctl(1) makes: the type service is for these.
func isUnitLink(name string) bool { return path.Dir(name) == "/etc/systemd/system" }

// topicOf names the module for a path: the program that the file is for, as far as the path says so. That of a folder ends in a
// slash.
func topicOf(name string) string {
	parts := strings.Split(strings.TrimPrefix(name, "/"), "/")
	rest, inEtc := strings.CutPrefix(name, "/etc/")
	switch {
	case !inEtc && parts[0] == "usr":
		return "local"
	case !inEtc:
		return moduleName(parts[0])
	case strings.HasPrefix(rest, "systemd/system/") && parts[3] != "":
		return moduleName(unitBase(strings.TrimSuffix(parts[3], ".d")))
	case strings.HasPrefix(parts[1], "cron"):
		return "cron"
	case strings.HasPrefix(parts[1], "sysctl") || strings.HasPrefix(parts[1], "mod"):
		return "kernel"
	case parts[1] == "apt":
		return "repositories"
	case strings.HasPrefix(parts[1], "sudoers"):
		return "sudo"
	case len(parts) == 2 && !strings.HasSuffix(parts[1], ".d"):
		return "etc"
	}
	return moduleName(strings.TrimSuffix(parts[1], ".d"))
}

// unitBase is the name of a unit without its kind and instance.
func unitBase(unit string) string {
	for _, suffix := range unitKinds {
		unit = strings.TrimSuffix(unit, suffix)
	}
	base, _, _ := strings.Cut(unit, "@")
	return base
}

// moduleName makes the name of a module of some word; there is room for a prefix.
func moduleName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	if s = strings.TrimLeft(s, "-_0123456789"); s == "" {
		return "other"
	}
	return s[:min(len(s), 40)]
}
