package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// A scanner reads JSON (RFC 8259) once, from front to back, and makes short strings that come again and again only once. What
// is rare in the compact form of a module it leaves to package json, so that there is one opinion of what that means.
type scanner struct {
	data  []byte
	at    int
	depth int
	err   error          // the first; nothing is read after it
	known map[string]any // short strings, as values

	scratch []byte
}

const (
	maxKnown = 4096 // short strings
	short    = 64   // bytes of one
	maxDepth = 1000 // of lists and mappings inside of each other
)

func newScanner(data []byte) *scanner { return &scanner{data: data, known: map[string]any{}} }

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("at byte %d: %s", s.at, fmt.Sprintf(format, args...))
		s.at = len(s.data)
	}
}

// next skips white space and returns the byte after it; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

func (s *scanner) want(c byte) {
	if !s.take(c) {
		s.fail("want %q", c)
	}
}

// null takes a null, if that comes.
func (s *scanner) null() bool {
	if s.next() != 'n' || !bytes.HasPrefix(s.data[s.at:], []byte("null")) {
		return false
	}
	s.at += len("null")
	return true
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.next() != 0 || s.at < len(s.data) {
		s.fail("there is something after the end")
	}
	return s.err
}

// enter begins a list or a mapping; null is an empty one.
func (s *scanner) enter(open byte) bool {
	if s.null() {
		return false
	}
	s.want(open)
	if s.depth++; s.depth > maxDepth {
		s.fail("it is nested too deep")
	}
	return s.err == nil
}

// more says whether another element comes, after n of them.
func (s *scanner) more(n int, closing byte) bool {
	if s.err != nil {
		return false
	}
	if s.take(closing) {
		s.depth--
		return false
	}
	if n > 0 {
		s.want(',')
	}
	return s.err == nil
}

// object has each read the value of one key after the other.
func (s *scanner) object(each func(key string)) {
	if !s.enter('{') {
		return
	}
	for n := 0; s.more(n, '}'); n++ {
		key := s.name()
		s.want(':')
		if s.err == nil {
			each(key)
		}
	}
}

// list has each read one element after the other.
func (s *scanner) list(each func()) {
	if !s.enter('[') {
		return
	}
	for n := 0; s.more(n, ']'); n++ {
		each()
	}
}

// quoted returns what stands between quotes, and whether that is what it says.
func (s *scanner) quoted() (text []byte, plain bool) {
	s.want('"')
	if s.err != nil {
		return nil, true
	}
	from, ascii, escaped := s.at, true, false
	for i := from; i < len(s.data); i++ {
		switch c := s.data[i]; {
		case c == '"':
			s.at = i + 1
			text = s.data[from:i]
			return text, !escaped && (ascii || utf8.Valid(text))
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			s.fail("a control character in a string")
			return nil, true
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	s.fail("a string does not end")
	return nil, true
}

// fresh reads a string of which there is hardly another.
func (s *scanner) fresh() string {
	s.next()
	from := s.at
	text, plain := s.quoted()
	if !plain {
		return s.unescaped(text, s.data[from:s.at])
	}
	return string(text)
}

// text reads a string as a value; short ones are shared.
func (s *scanner) text() any {
	s.next()
	from := s.at
	text, plain := s.quoted()
	if !plain || len(text) > short {
		s.at = from
		return s.fresh()
	}
	if v, ok := s.known[string(text)]; ok {
		return v
	}
	v := any(string(text))
	if len(s.known) < maxKnown {
		s.known[v.(string)] = v
	}
	return v
}

// name reads a string, such as a key.
func (s *scanner) name() string {
	text, _ := s.text().(string)
	return text
}

// unescaped is a string with escapes: those that a policy is full of are read here, others by package json.
func (s *scanner) unescaped(text, literal []byte) string {
	out, right := s.scratch[:0], utf8.Valid(text)
	for len(text) > 0 && right {
		n := bytes.IndexByte(text, '\\')
		if n < 0 {
			n = len(text)
		}
		out = append(out, text[:n]...)
		if text = text[n:]; len(text) > 1 {
			var c byte
			if c, n = escaped(text[1:]); n == 0 {
				right = false
			}
			out, text = append(out, c), text[1+n:]
		}
	}
	s.scratch = out
	if right {
		return string(out)
	}
	v, _ := s.foreign(literal).(string)
	return v
}

// escaped returns the character that is written as what comes after a backslash, and how long that is; 0: another one.
func escaped(text []byte) (c byte, n int) {
	switch text[0] {
	case 'n':
		return '\n', 1
	case 't':
		return '\t', 1
	case '"', '\\', '/':
		return text[0], 1
	case 'u': // package json writes <, > and & so
		if len(text) >= 5 {
			if v, err := strconv.ParseUint(string(text[1:5]), 16, 8); err == nil && v < utf8.RuneSelf {
				return byte(v), 5
			}
		}
	}
	return 0, 0
}

// foreign has package json read a value.
func (s *scanner) foreign(literal []byte) any {
	var v any
	if err := json.Unmarshal(literal, &v); err != nil {
		s.fail("%v", err)
	}
	return v
}

// number reads a whole number.
func (s *scanner) number() int {
	s.next()
	from, n := s.at, 0
	for s.at < len(s.data) && s.data[s.at] >= '0' && s.data[s.at] <= '9' && s.at-from < 9 {
		n = 10*n + int(s.data[s.at]-'0')
		s.at++
	}
	if s.at > from && (n > 0 && s.data[from] != '0' || s.at == from+1) && s.at < len(s.data) && bytes.IndexByte([]byte(",]} \n\t\r"), s.data[s.at]) >= 0 {
		return n
	}
	s.at, n = from, 0
	if err := json.Unmarshal(s.raw(), &n); err != nil {
		s.fail("%v", err)
	}
	return n
}

// value reads any value as package json does.
func (s *scanner) value() any {
	switch s.next() {
	case '"':
		return s.text()
	case '{':
		m := map[string]any{}
		s.object(func(key string) { m[key] = s.value() })
		return m
	case '[':
		l := []any{}
		s.list(func() { l = append(l, s.value()) })
		return l
	case 0:
		s.fail("it ends early")
		return nil
	}
	return s.foreign(s.raw())
}

// raw returns the next value as it is written; whether it is right is for package json to say.
func (s *scanner) raw() []byte {
	s.next()
	from, depth := s.at, 0
	for s.at < len(s.data) && s.err == nil {
		switch s.data[s.at] {
		case '"':
			s.quoted()
			if depth == 0 {
				return s.data[from:s.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.data[from:s.at]
			}
			if depth--; depth == 0 {
				s.at++
				return s.data[from:s.at]
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return s.data[from:s.at]
			}
		}
		s.at++
	}
	return s.data[from:s.at]
}
