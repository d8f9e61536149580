package cli

import (
	"io"
	"regexp"
	"unicode/utf8"
)

// ours are the control sequences that this program writes itself: colours, and a screen or a line begun anew.
var ours = regexp.MustCompile(`^(?:\r\n|\r?\x1b\[(?:[0-9;]{0,5}m|H|2J|K))`)

// terminal stands before a terminal. What nodes, policies and registries say may hold control characters, which could
// write over lines, hide text or send keys; it shows a replacement character for each. It refuses nothing else: a pipe
// or a file gets what was written.
type terminal struct{ w io.Writer }

// Write implements io.Writer. A sequence of our own must be in one piece.
func (t terminal) Write(p []byte) (int, error) {
	safe := make([]byte, 0, len(p))
	for rest := p; len(rest) > 0; {
		if rest[0] == '\x1b' || rest[0] == '\r' {
			if own := ours.Find(rest); own != nil {
				safe = append(safe, own...)
				rest = rest[len(own):]
				continue
			}
		}
		r, size := utf8.DecodeRune(rest)
		if steers(r) {
			r = utf8.RuneError
		}
		safe = utf8.AppendRune(safe, r)
		rest = rest[size:]
	}
	if _, err := t.w.Write(safe); err != nil {
		return 0, err
	}
	return len(p), nil
}

// steers reports whether a character does something else than be seen: controls of ASCII and of ISO 6429 except line ends
// and tabs, and those that reverse the direction of text.
func steers(r rune) bool {
	switch {
	case r == '\n' || r == '\t':
		return false
	case r < 0x20 || r >= 0x7f && r < 0xa0:
		return true
	}
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}
