package resources

import (
	"slices"
	"strings"
)

// iniFile is a file of settings, line by line.
type iniFile struct {
	entries   []iniEntry
	separator string // as declared; empty: as the lines have it
}

// iniEntry is a line, or one with those that continue it.
type iniEntry struct {
	raw     []string
	section string // that the line is in
	kind    iniKind
	key     string
	value   string // without white space around it
	indent  string
	sep     string // with the white space around it
}

type iniKind int

const (
	iniOther iniKind = iota // blank, comment
	iniHeader
	iniSetting
)

func readIni(lines []string, separator string) *iniFile {
	f := &iniFile{separator: separator}
	section := ""
	for i := 0; i < len(lines); i++ {
		e := iniEntry{raw: lines[i : i+1], section: section}
		body := strings.TrimSpace(strings.TrimPrefix(lines[i], "\ufeff"))
		switch {
		case body == "" || strings.ContainsAny(body[:1], "#;"):
		case body[0] == '[' && strings.Contains(body, "]"):
			section = body[1:strings.Index(body, "]")]
			e.kind, e.section = iniHeader, section
		default:
			e.kind = iniSetting
			from := i
			for strings.HasSuffix(lines[i], `\`) && i+1 < len(lines) {
				i++
			}
			e.raw = lines[from : i+1]
			e.split(strings.Join(e.raw, "\n"), separator)
		}
		f.entries = append(f.entries, e)
	}
	return f
}

// split takes a setting apart.
func (e *iniEntry) split(line, separator string) {
	bare := strings.TrimLeft(line, " \t\ufeff")
	e.indent = line[:len(line)-len(bare)]
	cut := strings.TrimSpace(separator)
	at, width := -1, 0
	switch {
	case separator == "":
		at, width = strings.IndexByte(bare, '='), 1
	case cut == "":
		at = strings.IndexAny(bare, " \t")
	default:
		at, width = strings.Index(bare, cut), len(cut)
	}
	if at < 0 {
		e.key = strings.TrimRight(bare, " \t")
		return
	}
	e.key = strings.TrimRight(bare[:at], " \t")
	rest := strings.TrimLeft(bare[at+width:], " \t")
	e.sep = bare[len(e.key) : len(bare)-len(rest)]
	e.value = strings.TrimRight(rest, " \t")
}

// render returns the lines of a key with its values, in the style of those that are there.
func (f *iniFile) render(section, key string, values []string) []string {
	old := f.settings(section, key)
	if len(values) == 0 { // the key alone
		if len(old) > 0 && old[0].sep == "" {
			return old[0].raw
		}
		return []string{f.indentOf(section) + key}
	}
	var lines []string
	for n, v := range values {
		indent, sep := f.indentOf(section), f.separatorOf(section)
		if n < len(old) {
			if old[n].value == v && old[n].sep != "" {
				lines = append(lines, old[n].raw...)
				continue
			}
			indent = old[n].indent
			if f.separator == "" && old[n].sep != "" {
				sep = old[n].sep
			}
		}
		lines = append(lines, strings.TrimRight(indent+key+sep+v, " \t"))
	}
	return lines
}

func (f *iniFile) settings(section, key string) []iniEntry {
	var found []iniEntry
	for _, e := range f.entries {
		if e.kind == iniSetting && e.section == section && e.key == key {
			found = append(found, e)
		}
	}
	return found
}

// separatorOf returns the separator of a new line: as declared, as in the section, as in the file.
func (f *iniFile) separatorOf(section string) string {
	if f.separator != "" {
		return f.separator
	}
	sep := ""
	for _, e := range f.entries {
		if e.kind != iniSetting || e.sep == "" || e.value == "" {
			continue
		}
		if e.section == section {
			return e.sep
		}
		if sep == "" {
			sep = e.sep
		}
	}
	if sep == "" {
		sep = " = "
	}
	return sep
}

func (f *iniFile) indentOf(section string) string {
	for _, e := range f.entries {
		if e.kind == iniSetting && e.section == section {
			return strings.TrimSuffix(e.indent, "\ufeff")
		}
	}
	return ""
}

// set puts lines in place of all of a key; none removes it.
func (f *iniFile) set(section, key string, lines []string) {
	at := -1
	var rest []iniEntry
	for _, e := range f.entries {
		if e.kind == iniSetting && e.section == section && e.key == key {
			if at < 0 {
				at = len(rest)
			}
			continue
		}
		rest = append(rest, e)
	}
	f.entries = rest
	if len(lines) == 0 {
		return
	}
	if at < 0 {
		at = f.placeOf(section, key)
	}
	made := readIni(lines, f.separator).entries
	for n := range made {
		made[n].section = section
	}
	if at > 0 && f.entries[at-1].goesOn() {
		made = slices.Insert(made, 0, iniEntry{raw: []string{""}, section: section})
	}
	f.entries = slices.Insert(f.entries, at, made...)
}

// goesOn is whether the next line would be part of a setting: the last of a file may end with a backslash.
func (e *iniEntry) goesOn() bool {
	return e.kind == iniSetting && strings.HasSuffix(e.raw[len(e.raw)-1], `\`)
}

// placeOf says where a new key of a section goes, and makes the section: behind a comment that shows the key, else behind
// the last setting of the section, else behind its header.
func (f *iniFile) placeOf(section, key string) int {
	at, header, commented := -1, -1, -1
	for n, e := range f.entries {
		if e.section != section {
			continue
		}
		switch e.kind {
		case iniHeader:
			header = n + 1
		case iniSetting:
			at = n + 1
		default:
			var shown iniEntry
			shown.split(strings.TrimLeft(e.raw[0], " \t#;"), f.separator)
			if shown.key == key && shown.sep != "" {
				commented = n + 1
			}
		}
	}
	switch {
	case commented >= 0:
		return commented
	case at >= 0:
		return at
	case header >= 0:
		return header
	case section == "":
		return f.endOfPreamble()
	}
	if n := len(f.entries); n > 0 && strings.TrimSpace(f.entries[n-1].raw[0]) != "" {
		f.entries = append(f.entries, iniEntry{raw: []string{""}})
	}
	f.entries = append(f.entries, iniEntry{raw: []string{"[" + section + "]"}, section: section, kind: iniHeader})
	return len(f.entries)
}

// endOfPreamble is the place of the first setting without a section: behind the comments at the top, before the first
// section.
func (f *iniFile) endOfPreamble() int {
	for n, e := range f.entries {
		if e.kind == iniHeader {
			return n
		}
	}
	return len(f.entries)
}

// withoutSection removes a section with its header. Comments right above the next header stay, they are about that.
func (f *iniFile) withoutSection(section string) []string {
	var keep []string
	for n := 0; n < len(f.entries); {
		if e := f.entries[n]; e.kind != iniHeader || e.section != section {
			keep = append(keep, e.raw...)
			n++
			continue
		}
		end := n + 1
		for end < len(f.entries) && f.entries[end].kind != iniHeader {
			end++
		}
		above := end
		for end < len(f.entries) && above > n+1 && isComment(f.entries[above-1]) {
			above--
		}
		n = above
	}
	return keep
}

func isComment(e iniEntry) bool { return e.kind == iniOther && strings.TrimSpace(e.raw[0]) != "" }

func (f *iniFile) lines() []string {
	var lines []string
	for _, e := range f.entries {
		lines = append(lines, e.raw...)
	}
	return lines
}
