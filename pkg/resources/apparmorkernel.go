package resources

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
)

const (
	apparmorParser = "apparmor_parser"
	apparmorFS     = "/sys/kernel/security/apparmor"
	maxProfiles    = 4 << 20 // bytes of the kernel's list of profiles
)

// apparmorState is what the kernel has loaded: the mode of each profile by name. It is nil where AppArmor is off.
type apparmorState map[string]string

// readAppArmor reads the list of the kernel, which has a line "name (mode)" for each profile.
func readAppArmor(h *host.Host) (apparmorState, error) {
	data, err := h.FS.Read(apparmorFS+"/profiles", maxProfiles)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the loaded profiles: %w", err)
	}
	return parseAppArmor(string(data)), nil
}

func parseAppArmor(list string) apparmorState {
	s := apparmorState{}
	for line := range strings.Lines(list) {
		line = strings.TrimSuffix(line, "\n")
		at := strings.LastIndex(line, " (")
		if at > 0 && strings.HasSuffix(line, ")") {
			s[line[:at]] = line[at+2 : len(line)-1]
		}
	}
	return s
}

// have returns those of the names that are loaded.
func (s apparmorState) have(names []string) []string {
	var there []string
	for _, n := range names {
		if _, ok := s[n]; ok && !slices.Contains(there, n) {
			there = append(there, n)
		}
	}
	return there
}

// An apparmorRecord is kept of what was last loaded from a file: the digest of the file, and for each of its profiles the
// digest that the kernel has of it. The same text compiled again is the same; another text under the same name is not.
type apparmorRecord struct {
	file     string
	profiles [][2]string // name and digest of the kernel
}

func (r apparmorRecord) names() []string {
	names := make([]string, 0, len(r.profiles))
	for _, p := range r.profiles {
		names = append(names, p[0])
	}
	return names
}

func (a *AppArmorProfile) record() string { return path.Join("/var/lib/vigo/apparmor", a.Name) }

// readRecord returns the record; not known if there is none.
func (a *AppArmorProfile) readRecord(h *host.Host) (r apparmorRecord, known bool, err error) {
	data, err := h.FS.Read(a.record(), 1<<20)
	if errors.Is(err, host.ErrNotFound) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	r.file = lines[0]
	for _, l := range lines[1:] {
		digest, name, _ := strings.Cut(l, " ")
		r.profiles = append(r.profiles, [2]string{name, digest})
	}
	return r, true, nil
}

// kernelDigest is what the kernel says that a loaded profile is made of; "-" where it does not say.
func kernelDigest(h *host.Host, name string) (string, error) {
	dir := apparmorFS + "/policy/profiles"
	all, err := h.FS.List(dir)
	if errors.Is(err, host.ErrNotFound) {
		return "-", nil
	}
	if err != nil {
		return "", err
	}
	for _, d := range all {
		mangled, number, ok := cutLast(d.Name, ".")
		if !ok || mangled != mangleProfile(name) || strings.Trim(number, "0123456789") != "" {
			continue
		}
		is, err := h.FS.Read(path.Join(dir, d.Name, "name"), 1<<16)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return "", err
		}
		if strings.TrimSuffix(string(is), "\n") != name {
			continue
		}
		for _, hash := range []string{"sha256", "sha1"} {
			sum, err := h.FS.Read(path.Join(dir, d.Name, hash), 4096)
			if err == nil {
				return orWord(strings.TrimSpace(string(sum)), "-"), nil
			}
			if !errors.Is(err, host.ErrNotFound) {
				return "", err
			}
		}
	}
	return "-", nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	at := strings.LastIndex(s, sep)
	if at < 0 {
		return s, "", false
	}
	return s[:at], s[at+len(sep):], true
}

// mangleProfile makes the name of the kernel's folder of a profile, as mangle_name in security/apparmor/apparmorfs.c does.
func mangleProfile(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '/':
			return '.'
		case r < unicode.MaxASCII && unicode.IsSpace(r):
			return '_'
		case r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r)):
			return r
		}
		return -1
	}, strings.TrimLeft(name, "/."))
}

// live says what of the kernel is not as the files are.
func (a *AppArmorProfile) live(h *host.Host) ([]change.Change, error) {
	kernel, err := readAppArmor(h)
	if err != nil || kernel == nil {
		return nil, err
	}
	mode, err := a.modeOnDisk(h)
	if err != nil {
		return nil, err
	}
	record, known, err := a.readRecord(h)
	if err != nil {
		return nil, err
	}
	digest, err := h.FS.Digest(a.path())
	switch {
	case err != nil:
		return nil, err
	case !known:
		return []change.Change{change.Of("loaded", "from an unknown file", loadedWord(mode))}, nil
	case mode == "disable" && len(kernel.have(record.names())) > 0:
		return []change.Change{change.Of("loaded", strings.Join(kernel.have(record.names()), ", "), change.Absent)}, nil
	case mode == "disable":
		return nil, nil
	case record.file != digest:
		return []change.Change{change.Of("loaded", "an older version", loadedWord(mode))}, nil
	}
	return a.compare(h, kernel, record)
}

func loadedWord(mode string) string {
	if mode == "disable" {
		return change.Absent
	}
	return "as the file is"
}

// compare looks for each profile of the record in the kernel.
func (a *AppArmorProfile) compare(h *host.Host, kernel apparmorState, record apparmorRecord) ([]change.Change, error) {
	var changes []change.Change
	for _, p := range record.profiles {
		name, was := p[0], p[1]
		is, there := kernel[name]
		if !there {
			changes = append(changes, change.Of("loaded "+name, change.Absent, "as the file is"))
			continue
		}
		if a.otherMode(is) {
			changes = append(changes, change.Of("mode of "+name, is, a.Mode))
			continue
		}
		digest, err := kernelDigest(h, name)
		if err != nil {
			return nil, err
		}
		if digest != was {
			changes = append(changes, change.Of("loaded "+name, "changed by hand", "as the file is"))
		}
	}
	return changes, nil
}

// otherMode reports whether a mode of the kernel is not as declared. kill is enforce that also ends the program.
func (a *AppArmorProfile) otherMode(is string) bool {
	return a.Mode == "complain" && is != "complain" || a.Mode == "enforce" && is != "enforce" && is != "kill"
}

// declared returns the names of the profiles in the file; none if there is no file, or the compiler cannot read it: then it
// was never loaded as it is. The text goes by standard input, as the compiler passes over files that are disabled.
func (a *AppArmorProfile) declared(ctx context.Context, h *host.Host) []string {
	text, err := h.FS.Read(a.path(), maxEdit)
	if err != nil {
		return nil
	}
	names, err := profileNames(ctx, h, string(text))
	if err != nil {
		return nil
	}
	return names
}

func profileNames(ctx context.Context, h *host.Host, text string) ([]string, error) {
	res, err := h.Run.Run(ctx, host.Command{Argv: []string{apparmorParser, "-N"}, Stdin: strings.NewReader(text), Dir: apparmorDir})
	if err == nil && res.Code != 0 {
		err = fmt.Errorf("%s ended with status %d%s", apparmorParser, res.Code, lastWords(res.Stderr))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the names of the profiles: %w", err)
	}
	var names []string
	for _, n := range strings.Split(string(res.Stdout), "\n") {
		if n = strings.TrimSpace(n); n != "" && !strings.Contains(n, "//") { // hats and children go with their profile
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// unload takes those of the profiles that are loaded out of the kernel.
func (a *AppArmorProfile) unload(ctx context.Context, h *host.Host, names []string) error {
	kernel, err := readAppArmor(h)
	if err != nil {
		return err
	}
	for _, name := range kernel.have(names) {
		text := fmt.Sprintf("profile \"%s\" {}\n", strings.ReplaceAll(name, `"`, `\"`))
		if err := runCommand(ctx, h, host.Command{Argv: []string{apparmorParser, "-R"}, Stdin: strings.NewReader(text)}); err != nil {
			return fmt.Errorf("taking the profile %s out of the kernel: %w", name, err)
		}
	}
	return nil
}

// bring has the kernel do as the files say, and keeps a record of what it has then. Profiles that the file had before, and
// has no more, are taken out.
func (a *AppArmorProfile) bring(ctx context.Context, h *host.Host) error {
	kernel, err := readAppArmor(h)
	if err != nil || kernel == nil {
		return err
	}
	mode, err := a.modeOnDisk(h)
	if err != nil {
		return err
	}
	old, _, err := a.readRecord(h)
	if err != nil {
		return err
	}
	text, err := h.FS.Read(a.path(), maxEdit)
	if err != nil {
		return err
	}
	names, err := profileNames(ctx, h, string(text))
	if err != nil {
		return err
	}
	stale := old.names()
	if mode == "disable" {
		stale = append(stale, names...)
	} else {
		// -T reads no compiled profile, -W keeps the new one for the next boot.
		if err := runProgram(ctx, h, apparmorParser, "-r", "-T", "-W", a.path()); err != nil {
			return fmt.Errorf("loading the profile: %w", err)
		}
		stale = slices.DeleteFunc(stale, func(n string) bool { return slices.Contains(names, n) })
	}
	if err := a.unload(ctx, h, stale); err != nil {
		return err
	}
	return a.keep(ctx, h, mode, digestOf(text), names)
}

// keep writes the record, once the kernel is seen to have the profiles in their mode.
func (a *AppArmorProfile) keep(ctx context.Context, h *host.Host, mode, digest string, names []string) error {
	kernel, err := readAppArmor(h)
	if err != nil {
		return err
	}
	lines := []string{digest}
	for _, name := range names {
		sum := "-"
		if mode != "disable" {
			is, there := kernel[name]
			if !there {
				return fmt.Errorf("loading the profile %s: the kernel does not have it afterwards", name)
			}
			if a.otherMode(is) {
				return fault.WithHint(fmt.Errorf("the profile %s is in mode %s, not %s", name, is, a.Mode), "take the flags of the mode out of the text of the profile")
			}
			if sum, err = kernelDigest(h, name); err != nil {
				return err
			}
		}
		lines = append(lines, sum+" "+name)
	}
	if err := h.FS.MakeDir(ctx, path.Dir(a.record()), host.Attr{}); err != nil {
		return err
	}
	return h.FS.Write(ctx, a.record(), strings.NewReader(strings.Join(lines, "\n")+"\n"), host.WriteOptions{})
}
