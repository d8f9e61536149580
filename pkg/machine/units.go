//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"vigo.dev/pkg/host"
)

// What systemd does at boot, read from and written to its folders without asking it: systemd.unit(5), systemctl(1).

const unitConfig = "/etc/systemd/system"

// unitDirs is where units are looked for; the first that has one wins.
func unitDirs() []string {
	return []string{unitConfig, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}
}

// unitSuffixes is the kinds of units; a name without one is a service.
func unitSuffixes() []string {
	return []string{".service", ".socket", ".timer", ".target", ".path", ".mount", ".automount", ".swap", ".slice", ".scope", ".device"}
}

// unitName adds ".service" to a name without a suffix and refuses what is no unit name.
func unitName(name string) (string, error) {
	for _, r := range name {
		ok := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(`:-_.\@`, r)
		if !ok {
			return "", fmt.Errorf("%q is not the name of a service", name)
		}
	}
	if name == "" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || len(name) > 255 {
		return "", fmt.Errorf("%q is not the name of a service", name)
	}
	for _, suffix := range unitSuffixes() {
		if strings.HasSuffix(name, suffix) {
			return name, nil
		}
	}
	return name + ".service", nil
}

// An install is the [Install] section of a unit file.
type install struct {
	WantedBy, RequiredBy, Alias, Also []string
	DefaultInstance                   string
}

func (i install) empty() bool {
	return len(i.WantedBy)+len(i.RequiredBy)+len(i.Alias)+len(i.Also) == 0
}

// parseInstall reads the [Install] section of a unit file. An empty assignment starts a list again, a backslash at
// the end of a line joins it to the next.
func parseInstall(data []byte) install {
	var in install
	text := strings.ReplaceAll(string(data), "\\\n", " ")
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if line[0] == '[' {
			section = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section != "[Install]" {
			continue
		}
		words := strings.Fields(value)
		add := func(list *[]string) {
			if len(words) == 0 {
				*list = nil
			}
			*list = append(*list, words...)
		}
		switch strings.TrimSpace(key) {
		case "WantedBy":
			add(&in.WantedBy)
		case "RequiredBy", "UpheldBy":
			add(&in.RequiredBy)
		case "Alias":
			add(&in.Alias)
		case "Also":
			add(&in.Also)
		case "DefaultInstance":
			in.DefaultInstance = strings.Join(words, "")
		}
	}
	return in
}

// A unitFile is where a unit is defined.
type unitFile struct {
	name    string // the real name: aliases resolved
	path    string
	masked  bool
	install install
}

// findUnit finds the file of a unit, following aliases.
func findUnit(fsys host.FileReader, name string) (unitFile, error) {
	for range 5 {
		u, alias, err := lookUnit(fsys, name)
		if err != nil || alias == "" {
			return u, err
		}
		name = alias
	}
	return unitFile{}, fmt.Errorf("unit %s: too many aliases", name)
}

func lookUnit(fsys host.FileReader, name string) (u unitFile, alias string, err error) {
	names := []string{name}
	if template, _, ok := templateOf(name); ok {
		names = append(names, template)
	}
	for _, n := range names {
		for _, dir := range unitDirs() {
			full := path.Join(dir, n)
			info, err := fsys.Stat(full)
			if errors.Is(err, host.ErrNotFound) {
				continue
			}
			if err != nil {
				return u, "", err
			}
			u = unitFile{name: name, path: full}
			if info.Kind == host.Symlink {
				if info.Target == "/dev/null" {
					u.masked = true
					return u, "", nil
				}
				if base := path.Base(info.Target); base != n {
					return u, base, nil
				}
			}
			data, err := fsys.Read(full, 1<<20)
			if errors.Is(err, host.ErrNotFound) {
				continue // a link to nothing
			}
			if err != nil {
				return u, "", err
			}
			if len(data) == 0 { // an empty file masks too
				u.masked = true
			}
			u.install = parseInstall(data)
			return u, "", nil
		}
	}
	return u, "", fmt.Errorf("unit %s: %w", name, host.ErrNotFound)
}

// templateOf splits getty@tty1.service into getty@.service and tty1.
func templateOf(name string) (template, instance string, ok bool) {
	before, after, found := strings.Cut(name, "@")
	dot := strings.LastIndex(after, ".")
	if !found || dot <= 0 {
		return "", "", false
	}
	return before + "@" + after[dot:], after[:dot], true
}

// links returns the symbolic links that make a unit start at boot.
func (u unitFile) links() []string {
	name := u.name
	if at := strings.Index(name, "@."); at >= 0 && u.install.DefaultInstance != "" {
		name = name[:at+1] + u.install.DefaultInstance + name[at+1:]
	}
	var all []string
	add := func(units []string, suffix, link string) {
		for _, unit := range units {
			if _, err := unitName(unit); err == nil { // a name that is none could lead elsewhere
				all = append(all, path.Join(unitConfig, unit+suffix, link))
			}
		}
	}
	add(u.install.WantedBy, ".wants", name)
	add(u.install.RequiredBy, ".requires", name)
	add(u.install.Alias, "", "")
	return all
}

// bootState tells whether a unit starts at boot.
func bootState(fsys host.FileReader, u unitFile) (host.Boot, error) {
	if u.masked {
		return host.Masked, nil
	}
	for _, link := range u.links() {
		_, err := fsys.Stat(link)
		if err == nil {
			return host.Enabled, nil
		}
		if !errors.Is(err, host.ErrNotFound) {
			return "", err
		}
	}
	if u.install.empty() {
		return host.Static, nil
	}
	return host.Disabled, nil
}

// setBoot makes or removes the links of a unit.
func setBoot(ctx context.Context, fsys host.FS, name string, boot host.Boot) error {
	mask := path.Join(unitConfig, name)
	if boot == host.Masked {
		if info, err := fsys.Stat(mask); err == nil && info.Kind != host.Symlink {
			return fmt.Errorf("masking %s: its own unit file is in the way at %s", name, mask)
		}
		if err := fsys.MakeDir(ctx, unitConfig, host.Attr{}); err != nil {
			return err
		}
		return fsys.Link(ctx, mask, "/dev/null")
	}
	if info, err := fsys.Stat(mask); err == nil && info.Kind == host.Symlink && info.Target == "/dev/null" {
		if err := fsys.Remove(ctx, mask, false); err != nil {
			return err
		}
	}
	u, err := findUnit(fsys, name)
	if err != nil {
		return err
	}
	if boot == host.Enabled && u.install.empty() {
		return fmt.Errorf("enabling %s: its unit file says nothing about when to start it: %w", name, errors.ErrUnsupported)
	}
	for _, link := range u.links() {
		if boot == host.Enabled {
			if err := fsys.MakeDir(ctx, path.Dir(link), host.Attr{}); err != nil {
				return err
			}
			if err := fsys.Link(ctx, link, u.path); err != nil {
				return err
			}
		} else if err := fsys.Remove(ctx, link, false); err != nil {
			return err
		}
	}
	return nil
}
