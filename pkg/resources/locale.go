package resources

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"vigo.dev/pkg/change"
	"vigo.dev/pkg/fault"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/resource"
)

// Locale is a locale that programs can use: it is built, by its line in /etc/locale.gen and locale-gen where Debian keeps
// these, and with default it is the one of the machine, in /etc/default/locale or /etc/locale.conf. Whether it is built is
// read from /usr/lib/locale.
//
//	resources:
//	  - locale: de_DE.UTF-8
//	    default: true
type Locale struct {
	// Name of the locale, such as de_DE.UTF-8 or C.UTF-8.
	Name string `vigo:"identity"`

	// Ensure says whether the locale should be there. Absent takes its line out of /etc/locale.gen, and builds the rest.
	Ensure string `yaml:"ensure" vigo:"enum=present|absent"`

	// Default makes it the locale of the machine (LANG). It holds from the next login on.
	Default bool `yaml:"default"`

	// Settings are further variables beside LANG, such as {LC_TIME: en_DK.UTF-8}.
	Settings map[string]string `yaml:"settings"`
}

var (
	_ resource.Validator = (*Locale)(nil)
	_ resource.Requirer  = (*Locale)(nil)

	localeName    = regexp.MustCompile(`^(C|POSIX|[a-z]{2,3}(_[A-Z]{2})?)(\.[A-Za-z0-9-]+)?(@[a-z]+)?$`)
	localeSetting = regexp.MustCompile(`^(LC_[A-Z]+|LANGUAGE)$`)
)

const localeGen = "/etc/locale.gen"

// Validate implements [resource.Validator].
func (l *Locale) Validate() error {
	if !localeName.MatchString(l.Name) {
		return fault.WithHint(fmt.Errorf("%q is not the name of a locale", l.Name), "names are like de_DE.UTF-8")
	}
	if l.Ensure == "absent" && (l.Default || l.Settings != nil) {
		return errors.New("a locale that is to be absent is not the default")
	}
	for key, value := range l.Settings {
		if !localeSetting.MatchString(key) || !isLocaleList(key, value) {
			return fmt.Errorf("settings: %s=%q is not a setting of a locale", key, value)
		}
	}
	if l.Settings != nil && !l.Default {
		return errors.New("settings are for the default")
	}
	return nil
}

// isLocaleList reports whether a value is a locale or, as LANGUAGE has it, several with colons between them; it may end in one.
func isLocaleList(key, value string) bool {
	names := []string{value}
	if key == "LANGUAGE" {
		names = strings.Split(strings.TrimSuffix(value, ":"), ":")
	}
	return !slices.ContainsFunc(names, func(n string) bool { return !localeName.MatchString(n) })
}

// Requires implements [resource.Requirer].
func (l *Locale) Requires() []resource.ID { return []resource.ID{{Type: "package", Name: "locales"}} }

// Plan implements [resource.Resource].
func (l *Locale) Plan(ctx context.Context, h *host.Host) (resource.Plan, error) {
	var p resource.Plan
	if l.Name != "C" && l.Name != "POSIX" && !strings.HasPrefix(l.Name, "C.") {
		if err := l.planBuilt(h, &p); err != nil {
			return resource.Plan{}, err
		}
	}
	if !l.Default {
		return p, nil
	}
	name := "/etc/locale.conf"
	for _, sign := range []string{"/etc/default/locale", "/etc/debian_version"} {
		is, err := look(h, sign)
		if err != nil {
			return resource.Plan{}, err
		}
		if is != nil && is.Kind != host.Symlink {
			name = "/etc/default/locale"
			break
		}
	}
	set, err := textEdit{Path: name, Create: true, Edit: l.edit}.plan(h)
	p.Include("default", set)
	return p, err
}

// edit sets the variables and leaves other lines as they are.
func (l *Locale) edit(lines []string) ([]string, error) {
	settings := map[string]string{"LANG": l.Name}
	for key, value := range l.Settings {
		settings[key] = value
	}
	for line := range strings.Lines(settingLines(settings, "=")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		var err error
		if lines, err = (&Environment{Name: key, Value: &value}).edit(lines); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// planBuilt plans that the locale is built, or not.
func (l *Locale) planBuilt(h *host.Host, p *resource.Plan) error {
	is, err := look(h, localeGen)
	if err != nil {
		return err
	}
	built, err := localeBuilt(h, l.Name)
	if err != nil {
		return err
	}
	absent := l.Ensure == "absent"
	if is == nil {
		if built || absent {
			return nil
		}
		err := fmt.Errorf("locale %s is not built, and there is no %s: %w", l.Name, localeGen, host.ErrNotFound)
		return fault.WithHint(err, "declare the package locales, or glibc-langpack-"+l.Name[:2]+", and require it")
	}
	list, err := textEdit{Path: localeGen, Edit: l.editList}.plan(h)
	if err != nil {
		return err
	}
	generate := func(ctx context.Context) error { return runProgram(ctx, h, "locale-gen") }
	if absent {
		list = list.Tell(generate) // that it is built still is no difference
	} else {
		list = list.Then(generate)
	}
	p.Include("list", list)
	if list.Empty() && !built && !absent {
		p.Do(generate, change.Of("built", false, true))
	}
	return nil
}

// editList edits /etc/locale.gen: a line is a name and its character set.
func (l *Locale) editList(lines []string) ([]string, error) {
	out, done := make([]string, 0, len(lines)+1), l.Ensure == "absent"
	charset := "ISO-8859-1"
	if _, after, ok := strings.Cut(l.Name, "."); ok {
		charset, _, _ = strings.Cut(after, "@")
	}
	for _, line := range lines {
		words := strings.Fields(strings.TrimLeft(line, "# \t"))
		listed := !strings.HasPrefix(strings.TrimSpace(line), "#")
		switch {
		case len(words) != 2 || words[0] != l.Name:
			out = append(out, line)
		case listed && l.Ensure == "absent":
			out = append(out, "# "+line)
		case listed:
			out, done = append(out, line), true
		case !done:
			out, done = append(out, words[0]+" "+words[1]), true
		default:
			out = append(out, line)
		}
	}
	if !done {
		out = append(out, l.Name+" "+charset)
	}
	return out, nil
}

// localeBuilt looks for a locale in the archive of glibc, or in a folder of its own. glibc spells the character set in small
// letters, without dashes.
func localeBuilt(h *host.Host, name string) (bool, error) {
	base, charset, _ := strings.Cut(name, ".")
	charset, modifier, at := strings.Cut(charset, "@")
	spelt := base
	if charset != "" {
		spelt += "." + strings.ReplaceAll(strings.ToLower(charset), "-", "")
	}
	if at {
		spelt += "@" + modifier
	}
	for _, dir := range []string{spelt, name} {
		if is, err := look(h, "/usr/lib/locale/"+dir); err != nil || is != nil {
			return is != nil, err
		}
	}
	r, err := h.FS.Open("/usr/lib/locale/locale-archive")
	if errors.Is(err, host.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	names, err := archiveNames(r)
	if err != nil {
		return false, fmt.Errorf("reading the archive of locales: %w", err)
	}
	return bytes.Contains(names, []byte("\x00"+spelt+"\x00")), nil
}

// archiveNames reads the names out of a locale archive, each between zero bytes: struct locarhead of glibc's locarchive.h.
func archiveNames(r io.Reader) ([]byte, error) {
	const (
		magic = 0xde020109
		most  = 16 << 20
	)
	var head struct{ Magic, Serial, HashAt, HashUsed, HashSize, NamesAt, NamesUsed uint32 }
	if err := binary.Read(r, binary.NativeEndian, &head); err != nil {
		return nil, err
	}
	size := uint32(binary.Size(head))
	if head.Magic != magic || head.NamesAt < size || head.NamesAt > most || head.NamesUsed > most {
		return nil, errors.New("this is not an archive of locales")
	}
	if _, err := io.CopyN(io.Discard, r, int64(head.NamesAt-size)); err != nil {
		return nil, err
	}
	names := make([]byte, 0, 64<<10)
	names = append(names, 0)
	rest, err := io.ReadAll(io.LimitReader(r, int64(head.NamesUsed)))
	return append(append(names, rest...), 0), err
}
