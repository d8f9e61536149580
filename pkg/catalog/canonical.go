package catalog

import (
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"
)

// appendJSON appends a value as [json.Encoder] writes it, byte for byte, at a fraction of the cost: a digest is made of every
// declaration of every catalog. What a policy cannot hold is left to that package.
func appendJSON(to []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case nil:
		return append(to, "null"...), nil
	case bool:
		if v {
			return append(to, "true"...), nil
		}
		return append(to, "false"...), nil
	case string:
		return appendString(to, v), nil
	case []string:
		if v != nil {
			to = append(to, '[')
			for i, s := range v {
				to = appendString(separated(to, i), s)
			}
			return append(to, ']'), nil
		}
	case []any:
		if v != nil {
			to = append(to, '[')
			for i, item := range v {
				if to, err = appendJSON(separated(to, i), item); err != nil {
					return to, err
				}
			}
			return append(to, ']'), nil
		}
	case map[string]any:
		if v != nil {
			return appendMap(to, v)
		}
	}
	text, err := json.Marshal(v)
	return append(to, text...), err
}

func appendMap(to []byte, m map[string]any) ([]byte, error) {
	var few [16]string // on the stack: no declaration has many more
	keys := slices.AppendSeq(few[:0], maps.Keys(m))
	slices.Sort(keys)
	to = append(to, '{')
	for i, key := range keys {
		to = append(appendString(separated(to, i), key), ':')
		var err error
		if to, err = appendJSON(to, m[key]); err != nil {
			return to, err
		}
	}
	return append(to, '}'), nil
}

func separated(to []byte, i int) []byte {
	if i > 0 {
		return append(to, ',')
	}
	return to
}

// appendString appends a string between quotes. What is more than plain text with line ends is left to package json.
func appendString(to []byte, s string) []byte {
	began := len(to)
	to = append(to, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&' {
			continue
		}
		to = append(to, s[from:i]...)
		from = i + 1
		switch c {
		case '\n':
			to = append(to, '\\', 'n')
		case '"', '\\':
			to = append(to, '\\', c)
		default:
			text, _ := json.Marshal(s) // strings always encode
			return append(to[:began], text...)
		}
	}
	return append(append(to, s[from:]...), '"')
}
