package policyfmt

import (
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

// byteColumn turns a column of YAML, which counts characters from 1, into an offset.
func byteColumn(line string, column int) int {
	at := 0
	for i := range line {
		if column--; column == 0 {
			return i
		}
		at = i
	}
	return min(at+1, len(line))
}

// splitKey cuts a line behind the key it begins with. ok is false if the key is not written in a plain way.
func splitKey(line string) (key, rest string, ok bool) {
	at := 0
	if line != "" && (line[0] == '"' || line[0] == '\'') {
		end, closed := quoteEnd(line)
		if !closed {
			return "", "", false
		}
		at = end
	}
	for end := at; end < len(line); end++ {
		if line[end] == ':' && (end+1 == len(line) || line[end+1] == ' ' || line[end+1] == '\t') {
			key = strings.TrimRight(line[:end], " ")
			return key, strings.TrimLeft(line[end+1:], " \t"), key != "" && key[0] != '?' && key[0] != '!'
		}
	}
	return "", "", false
}

// quoteEnd returns the offset behind a quoted scalar that text begins with.
func quoteEnd(text string) (int, bool) {
	quote := text[0]
	for i := 1; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\':
			i++
		case text[i] == quote && quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1, true
		}
	}
	return 0, false
}

// inlineEnd returns the last line of a plain or quoted scalar, or of a collection in brackets.
func (s *source) inlineEnd(v *yaml.Node, at span) (int, bool) {
	if v.Line < at.line || v.Line >= at.limit {
		return 0, false
	}
	text := strings.Join(s.lines[v.Line-1:min(at.limit-1, len(s.lines))], "\n")
	text = text[byteColumn(s.lines[v.Line-1], v.Column):]
	if v.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 && text != "" && (text[0] == '"' || text[0] == '\'') {
		end, closed := quoteEnd(text)
		return v.Line + strings.Count(text[:end], "\n"), closed
	}
	if v.Kind != yaml.ScalarNode {
		end, closed := bracketEnd(text)
		return v.Line + strings.Count(text[:end], "\n"), closed
	}
	end := v.Line // of a plain scalar: nothing but comments can follow it
	for line := v.Line + 1; line < at.limit && line <= len(s.lines); line++ {
		text := strings.TrimSpace(s.lines[line-1])
		if strings.HasPrefix(text, "#") {
			break
		}
		if text != "" {
			end = line
		}
	}
	return end, true
}

// bracketEnd returns the offset behind a collection in brackets that text begins with.
func bracketEnd(text string) (int, bool) {
	depth, token := 0, true // token: what comes next may begin a scalar
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case (c == '"' || c == '\'') && token:
			end, closed := quoteEnd(text[i:])
			if !closed {
				return 0, false
			}
			i += end - 1
			token = false
		case c == '[' || c == '{':
			depth++
			token = true
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return i + 1, true
			}
			token = false
		case c == ',' || c == ':' && i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '\n'):
			token = true
		case c == '#' && i > 0 && strings.ContainsRune(" \t\n", rune(text[i-1])):
			line := strings.IndexByte(text[i:], '\n')
			if line < 0 {
				return 0, false
			}
			i += line
		case c != ' ' && c != '\t' && c != '\n':
			token = false
		}
	}
	return 0, false
}

var indicator = regexp.MustCompile(`^[|>][-+]?[1-9]`)

// blockScalar returns the lines of a scalar that begins with | or > on the line of at, indented by two, and its last line.
// Where the header says how far it is indented, it stays so.
func (s *source) blockScalar(header string, at span) ([]string, int) {
	own := 0
	var out []string
	end := at.line
	for line := at.line + 1; line < at.limit && line <= len(s.lines); line++ {
		text := s.lines[line-1]
		if own == 0 && strings.TrimLeft(text, " ") != "" {
			if own = indentOf(text); indicator.MatchString(header) {
				own = at.column + int(indicator.FindString(header)[len(indicator.FindString(header))-1]-'0')
			}
		}
		if text = strings.TrimLeft(text, " "); text != "" && (indentOf(s.lines[line-1]) < own || own <= at.column) {
			break
		}
		out = append(out, s.lines[line-1])
		if text != "" || keepsLines(header) {
			end = line
		}
	}
	out = out[:end-at.line]
	deeper := 2
	if indicator.MatchString(header) {
		deeper = own - at.column
	}
	for i, line := range out {
		if len(line) <= own {
			out[i] = strings.TrimLeft(line, " ") // empty
		} else {
			out[i] = strings.Repeat(" ", deeper) + line[own:]
		}
	}
	if keepsLines(header) {
		out = append(out, sealed)
	}
	return out, end
}

// sealed is a line that stands behind a scalar to which empty lines that follow would belong. YAML has no such character.
const sealed = "\x00"

// unsealed takes the seals out, and the empty lines behind them.
func unsealed(lines []string) []string {
	var out []string
	closed := false
	for _, line := range lines {
		if strings.TrimLeft(line, " ") == sealed {
			closed = true
		} else if line != "" || !closed {
			out, closed = append(out, line), false
		}
	}
	return out
}

// keepsLines reports whether empty lines at the end belong to a scalar.
func keepsLines(header string) bool {
	head, _, _ := strings.Cut(header, " ")
	return strings.Contains(head, "+")
}
