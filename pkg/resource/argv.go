package resource

import (
	"errors"
	"fmt"
	"strings"

	"vigo.dev/pkg/fault"
)

// An Argv is a program and its arguments, as a policy writes them: a list, or a string that is split at white space.
// In a string, single and double quotes keep words together, and a backslash outside single quotes takes the next
// character as it is. There is no shell: nothing is expanded.
type Argv []string

var _ ValueDecoder = (*Argv)(nil)

// DecodeValue implements [ValueDecoder].
func (a *Argv) DecodeValue(raw any) error {
	switch raw := raw.(type) {
	case string:
		words, err := SplitWords(raw)
		if err != nil {
			return err
		}
		*a = words
	case []any:
		*a = make(Argv, len(raw))
		for i, item := range raw {
			s, ok := item.(string)
			if !ok {
				return fault.WithHint(fmt.Errorf("want a list of strings, got %s in it", Describe(item)), quoteHint(item))
			}
			(*a)[i] = s
		}
	default:
		return fmt.Errorf("want a command as a list of strings or as one string, got %s", Describe(raw))
	}
	if len(*a) == 0 || (*a)[0] == "" {
		return errors.New("the command is empty")
	}
	return nil
}

// SplitWords splits a line into words as [Argv] describes.
func SplitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	started := false
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && quote != '\'':
			if i++; i == len(line) {
				return nil, fmt.Errorf("%q ends with a backslash", line)
			}
			word.WriteByte(line[i])
			started = true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, started = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if started {
				words = append(words, word.String())
				word.Reset()
				started = false
			}
		default:
			word.WriteByte(c)
			started = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%q has an open quote", line)
	}
	if started {
		words = append(words, word.String())
	}
	return words, nil
}
