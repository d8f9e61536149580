package resources

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"vigo.dev/pkg/host"
)

// pamLine is one rule of a service, pam.d(5).
type pamLine struct {
	text      string
	from      int    // the first line of the file that it takes up; it ends where it stands
	kind      string // without the "-"
	optional  bool
	control   string
	module    string
	arguments []string
}

// same compares rules, not how they are written.
func (l pamLine) same(o pamLine) bool {
	return l.kind == o.kind && l.optional == o.optional && l.control == o.control && l.module == o.module && slices.Equal(l.arguments, o.arguments)
}

// parsePAMFile reads the lines of a service: a rule stands where its last line is, with nil before it and for lines that
// are no rule.
func parsePAMFile(lines []string) ([]*pamLine, error) {
	parsed := make([]*pamLine, len(lines))
	for i := 0; i < len(lines); i++ {
		from, text := i, lines[i]
		for strings.HasSuffix(text, `\`) && !strings.Contains(text, "#") {
			if i++; i == len(lines) {
				return nil, fmt.Errorf("line %d: ends with a backslash, but is the last", i)
			}
			text = strings.TrimSuffix(text, `\`) + " " + strings.TrimSpace(lines[i])
		}
		l, err := parsePAM(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", from+1, err)
		}
		if l != nil {
			l.from = from
			parsed[i] = l
		}
	}
	return parsed, nil
}

// parsePAM reads one rule; nil for an empty line, a comment or an include of Debian.
func parsePAM(text string) (*pamLine, error) {
	bare, _, _ := strings.Cut(text, "#")
	if strings.TrimSpace(bare) == "" || strings.HasPrefix(strings.TrimSpace(bare), "@include") {
		return nil, nil
	}
	words, err := pamWords(bare)
	if err != nil {
		return nil, err
	}
	if len(words) < 3 {
		return nil, fmt.Errorf("%q is no rule: want type, control and module", text)
	}
	l := &pamLine{text: text, control: words[1], module: words[2]}
	l.kind, l.optional = strings.CutPrefix(words[0], "-")
	if len(words) > 3 {
		l.arguments = words[3:]
	}
	if !slices.Contains([]string{"auth", "account", "password", "session"}, strings.ToLower(l.kind)) {
		return nil, fmt.Errorf("%q is no rule: %q is not a type", text, l.kind)
	}
	l.kind = strings.ToLower(l.kind)
	if !strings.HasPrefix(l.control, "[") && !slices.Contains([]string{"required", "requisite", "sufficient", "optional", "include", "substack"}, l.control) {
		return nil, fmt.Errorf("%q is no rule: %q is not a control", text, l.control)
	}
	return l, nil
}

// pamWords splits at white space; what stands in square brackets is one word, with them.
func pamWords(text string) ([]string, error) {
	var words []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := strings.IndexAny(text, " \t")
		if text[0] == '[' {
			if end = strings.IndexByte(text, ']'); end < 0 {
				return nil, fmt.Errorf("%q has an open bracket", text)
			}
			end++
		}
		if end < 0 {
			end = len(text)
		}
		words = append(words, text[:end])
		text = text[end:]
	}
	return words, nil
}

// withoutPAM returns the lines without some rules.
func withoutPAM(lines []string, parsed []*pamLine, gone []int) []string {
	var left []string
	next := 0
	for _, i := range gone {
		left = append(left, lines[next:parsed[i].from]...)
		next = i + 1
	}
	return append(left, lines[next:]...)
}

// hasPAMModule looks for a module where the systems keep them.
func hasPAMModule(h *host.Host, module string) (bool, error) {
	if path.IsAbs(module) {
		is, err := look(h, module)
		return is != nil, err
	}
	dirs := []string{"/lib/security", "/lib64/security", "/usr/lib/security", "/usr/lib64/security"}
	for _, lib := range []string{"/lib", "/usr/lib"} {
		inside, err := h.FS.List(lib)
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return false, err
		}
		for _, f := range inside {
			if strings.Contains(f.Name, "-linux-") {
				dirs = append(dirs, path.Join(lib, f.Name, "security"))
			}
		}
	}
	for _, dir := range dirs {
		if is, err := look(h, path.Join(dir, module)); err != nil || is != nil {
			return is != nil, err
		}
	}
	return false, nil
}
