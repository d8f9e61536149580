package resources

import (
	"errors"
	"strings"

	"vigo.dev/pkg/host"
)

// An fstabEntry is one line of fstab(5), its escapes undone.
type fstabEntry struct{ device, path, fsType, opts, dump, pass string }

// String renders the entry as a line without a line break.
func (e fstabEntry) String() string {
	fields := []string{e.device, e.path, e.fsType, e.opts, e.dump, e.pass}
	for i, f := range fields {
		fields[i] = fstabEscape(f)
	}
	return strings.Join(fields, " ")
}

// options is the options as a list.
func (e fstabEntry) options() []string { return strings.Split(e.opts, ",") }

// An fstab is the lines of the file, with their line breaks.
type fstab []string

// readFstab reads /etc/fstab; one that is not there has no lines.
func readFstab(h *host.Host) (fstab, error) {
	data, err := h.FS.Read("/etc/fstab", 1<<20)
	if errors.Is(err, host.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return splitFstab(string(data)), nil
}

func splitFstab(text string) fstab { return strings.SplitAfter(text, "\n") }

// parseFstabLine reads one line; nil for a comment, an empty line, and what is no entry.
func parseFstabLine(line string) *fstabEntry {
	// Only these separate fields; other white space may be part of a name.
	f := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' })
	if len(f) < 3 || strings.HasPrefix(f[0], "#") {
		return nil
	}
	for len(f) < 6 {
		f = append(f, []string{"defaults", "0", "0"}[len(f)-3])
	}
	for i := range f {
		f[i] = fstabUnescape(f[i])
	}
	return &fstabEntry{f[0], f[1], f[2], f[3], f[4], f[5]}
}

// find returns the first entry for a path and its line number, counted from 0; nil if there is none.
func (t fstab) find(path string) (*fstabEntry, int) {
	for i, line := range t {
		if e := parseFstabLine(line); e != nil && e.path == path {
			return e, i
		}
	}
	return nil, -1
}

// with returns the text with one entry put in place of those for the path, or at the end; a nil entry takes them out.
// All other lines are as they were.
func (t fstab) with(path string, entry *fstabEntry) string {
	var b strings.Builder
	for _, line := range t {
		e := parseFstabLine(line)
		if e == nil || e.path != path {
			b.WriteString(line)
			continue
		}
		if entry != nil {
			b.WriteString(entry.String() + "\n")
			entry = nil
		}
	}
	if entry == nil {
		return b.String()
	}
	text := b.String()
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text + entry.String() + "\n"
}

// fstabEscape writes white space and backslashes in octal, as getmntent(3) reads them.
func fstabEscape(s string) string {
	return strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace(s)
}

func fstabUnescape(s string) string {
	return strings.NewReplacer(`\134`, `\`, `\040`, " ", `\011`, "\t", `\012`, "\n").Replace(s)
}
