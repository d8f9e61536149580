package catalog

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"text/template"
)

const (
	maxMade  = 64 << 20 // bytes the functions of one template may make, written or not
	maxParts = 100_000  // of one split
	maxWidth = 1000     // of one field of printf
)

var errTooMuch = fmt.Errorf("its functions make more than %d bytes", maxMade)

// spent is what one template, with all that it includes, has used of what it may.
type spent struct {
	steps, bytes int
	total        *int // turns of all templates of a catalog
}

func newSpent() *spent { return &spent{} }

// step counts turns.
func (s *spent) step(n int) error {
	if s.steps += n; s.steps > maxSteps {
		return errTooManySteps
	}
	if s.total != nil {
		if *s.total += n; *s.total > maxTotal {
			return errTooManyInAll
		}
	}
	return nil
}

// include counts what it takes to parse a template once more.
func (s *spent) include(text string) error {
	if _, err := s.made(text); err != nil {
		return err
	}
	return s.step(stepsOfInclude)
}

// fits reports whether size bytes more may be made. It is asked before they are made.
func (s *spent) fits(size int) error {
	if size < 0 || size > maxMade || s.bytes+size > maxMade {
		return errTooMuch
	}
	return nil
}

// made counts a text that a function gives back.
func (s *spent) made(text string) (string, error) {
	if s.bytes += len(text); s.bytes > maxMade {
		return "", errTooMuch
	}
	return text, nil
}

// funcs are the functions of templates. Those of text/template that make text are among them, so that it is counted.
func (s *spent) funcs() template.FuncMap {
	one := func(f func(string) string) func(string) (string, error) {
		return func(text string) (string, error) { return s.made(f(text)) }
	}
	many := func(f func(...any) string) func(...any) (string, error) {
		return func(args ...any) (string, error) { return s.made(f(args...)) }
	}
	return template.FuncMap{
		"quote":     func(v any) (string, error) { return s.made(fmt.Sprintf("%q", fmt.Sprint(v))) },
		"join":      s.join,
		"lower":     one(strings.ToLower),
		"upper":     one(strings.ToUpper),
		"trim":      strings.TrimSpace,
		"split":     s.split,
		"replace":   s.replace,
		"contains":  func(part, s string) bool { return strings.Contains(s, part) },
		"hasPrefix": func(prefix, s string) bool { return strings.HasPrefix(s, prefix) },
		"hasSuffix": func(suffix, s string) bool { return strings.HasSuffix(s, suffix) },
		"indent":    s.indent,
		"toJSON":    s.toJSON,
		"keep":      func(v any) any { return v },
		secretFunc:  placeholder,
		"print":     many(fmt.Sprint),
		"println":   many(fmt.Sprintln),
		"printf":    s.printf,
		"html":      many(template.HTMLEscaper),
		"js":        many(template.JSEscaper),
		"urlquery":  many(template.URLQueryEscaper),
	}
}

func (s *spent) toJSON(v any) (string, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return s.made(string(data))
}

func (s *spent) split(sep, text string) ([]string, error) {
	if n := strings.Count(text, sep); n > maxParts {
		return nil, fmt.Errorf("split makes more than %d parts", maxParts)
	}
	return strings.Split(text, sep), nil
}

func (s *spent) replace(old, with, text string) (string, error) {
	if err := s.fits(len(text) + strings.Count(text, old)*len(with)); err != nil {
		return "", err
	}
	return s.made(strings.ReplaceAll(text, old, with))
}

func (s *spent) indent(n int, text string) (string, error) {
	n = min(max(n, 0), 80)
	if err := s.fits(len(text) + strings.Count(text, "\n")*n); err != nil {
		return "", err
	}
	return s.made(strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", n)))
}

func (s *spent) join(sep string, list any) (string, error) {
	var parts []string
	switch list := list.(type) {
	case []string:
		parts = list
	case []any:
		parts = make([]string, len(list))
		for i, v := range list {
			parts[i] = fmt.Sprint(v)
		}
	default:
		return "", fmt.Errorf("join needs a list, not %T", list)
	}
	size := len(sep) * len(parts)
	for _, part := range parts {
		size += len(part)
	}
	if err := s.fits(size); err != nil {
		return "", err
	}
	return s.made(strings.Join(parts, sep))
}

var printfWidth = regexp.MustCompile(`%[-+# 0]*(\[\d+\])?(\*|\d{4,})|%[-+# 0]*(\[\d+\])?\d{0,3}\.(\[\d+\])?(\*|\d{4,})`)

// printf refuses what fmt would make a long text of few letters for.
func (s *spent) printf(format string, args ...any) (string, error) {
	if printfWidth.MatchString(format) {
		return "", fmt.Errorf("printf: a width is a number of at most %d", maxWidth-1)
	}
	longest := maxWidth
	for _, arg := range args {
		longest = max(longest, len(fmt.Sprint(arg)))
	}
	if err := s.fits(len(format) + strings.Count(format, "%")*longest*2); err != nil {
		return "", err
	}
	return s.made(fmt.Sprintf(format, args...))
}
