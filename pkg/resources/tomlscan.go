package resources

import (
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// tomlStatement is a header or a key with its value, and where it stands in the text.
type tomlStatement struct {
	table      dataPlace // that it is in; of a header, the one it starts
	key        dataPlace // below the table; none for a header
	array      bool      // a header of an element, [[…]]
	start, end int       // its lines
	from, to   int       // its value
}

// place is where the value of a statement is in the document.
func (s tomlStatement) place() dataPlace {
	return append(append(dataPlace{}, s.table...), s.key...)
}

// scanTOML takes a text apart that is known to be TOML.
func scanTOML(text string) ([]tomlStatement, error) {
	var all []tomlStatement
	var table dataPlace
	counts := map[string]int{} // elements of each array of tables
	for at := 0; at < len(text); {
		line := at
		at += blankWidth(text[at:])
		if at >= len(text) {
			break
		}
		s := tomlStatement{start: line}
		switch text[at] {
		case '\n':
			at++
			continue
		case '#':
			at = endOfLine(text, at)
			continue
		case '[':
			s.array = strings.HasPrefix(text[at:], "[[")
			width := 1
			if s.array {
				width = 2
			}
			keys, end, err := tomlKeys(text, at+width)
			if err != nil {
				return nil, err
			}
			table = tomlTable(keys, counts, s.array)
			s.table, at = table, end+width
		default:
			keys, end, err := tomlKeys(text, at)
			if err != nil {
				return nil, err
			}
			if end >= len(text) || text[end] != '=' {
				return nil, errors.New("a key without a value")
			}
			s.table, s.key = table, keys
			s.from = end + 1 + blankWidth(text[end+1:])
			s.to = tomlValueEnd(text, s.from)
			at = s.to
		}
		at = endOfLine(text, at)
		s.end = at
		all = append(all, s)
	}
	return all, nil
}

// tomlTable settles what a header names: the last element of each array of tables on the way, and a new one for [[…]].
func tomlTable(keys dataPlace, counts map[string]int, array bool) dataPlace {
	var table dataPlace
	for n, key := range keys {
		table = table.with(key)
		name := table.String()
		switch last := n == len(keys)-1; {
		case last && array:
			counts[name]++
			table = table.with(counts[name] - 1)
		case counts[name] > 0:
			table = table.with(counts[name] - 1)
		}
	}
	return table
}

func blankWidth(s string) int { return len(s) - len(strings.TrimLeft(s, " \t")) }

// endOfLine returns the offset behind the line end.
func endOfLine(text string, at int) int {
	if n := strings.IndexByte(text[at:], '\n'); n >= 0 {
		return at + n + 1
	}
	return len(text)
}

// tomlKeys reads keys with dots between, and returns the offset behind them and white space.
func tomlKeys(text string, at int) (keys dataPlace, end int, err error) {
	for {
		at += blankWidth(text[at:])
		key, width := "", 0
		switch {
		case at < len(text) && (text[at] == '"' || text[at] == '\''):
			width = tomlStringEnd(text, at) - at
			var v struct{ K string }
			if _, err := toml.Decode("K = "+text[at:at+width], &v); err != nil {
				return nil, 0, fmt.Errorf("reading the key %s: %w", text[at:at+width], err)
			}
			key = v.K
		default:
			width = strings.IndexAny(text[at:], " \t.=]\n")
			if width <= 0 {
				return nil, 0, errors.New("a key was expected")
			}
			key = text[at : at+width]
		}
		keys = append(keys, key)
		at += width
		at += blankWidth(text[at:])
		if at >= len(text) || text[at] != '.' {
			return keys, at, nil
		}
		at++
	}
}

// tomlValueEnd returns the offset behind a value: brackets closed, strings passed over.
func tomlValueEnd(text string, at int) int {
	depth := 0
	end := at
	for at < len(text) {
		switch c := text[at]; {
		case c == '"' || c == '\'':
			at = tomlStringEnd(text, at)
			end = at
			continue
		case c == '#':
			if depth == 0 {
				return end
			}
			at = endOfLine(text, at)
			continue
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == '\n' && depth == 0:
			return end
		}
		if !strings.ContainsRune(" \t\r\n", rune(text[at])) {
			end = at + 1
		}
		at++
	}
	return end
}

// tomlStringEnd returns the offset behind a string of any of the four kinds.
func tomlStringEnd(text string, at int) int {
	quote := text[at : at+1]
	long := strings.HasPrefix(text[at:], strings.Repeat(quote, 3))
	if long {
		quote = strings.Repeat(quote, 3)
	}
	for i := at + len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote[0] == '"':
			i++
		case strings.HasPrefix(text[i:], quote):
			i += len(quote)
			for long && i < len(text) && text[i] == quote[0] { // up to two quotes may be the end of the content
				i++
			}
			return i
		}
	}
	return len(text)
}
