package inventory

import "encoding/json"

// narrowed leaves out of two mappings, each as JSON, what both begin and end with: of 400 packages one differs, and decoding the rest is
// most of what comparing costs. What is left is two mappings again. Keys that are there twice are not looked for.
func narrowed(was, became json.RawMessage) (a, b json.RawMessage) {
	if !mapping(was) || !mapping(became) { // and what is none is for the decoder to refuse
		return was, became
	}
	front := commaBefore(was, commonPrefix(was, became))
	back := commonSuffix(was[front:], became[front:])
	endA, endB := commaBehind(was, front, len(was)-back), commaBehind(became, front, len(became)-back)
	// From the later of both on, they are the same, and in both it is a comma between two keys.
	for len(was)-endA != len(became)-endB {
		if rest := min(len(was)-endA, len(became)-endB); len(was)-endA > rest {
			endA = commaBehind(was, front, len(was)-rest)
		} else {
			endB = commaBehind(became, front, len(became)-rest)
		}
	}
	return between(was, front, endA), between(became, front, endB)
}

// mapping is whether a text can be a mapping without blanks around it.
func mapping(text json.RawMessage) bool {
	return len(text) > 1 && text[0] == '{' && text[len(text)-1] == '}'
}

// between is a mapping with what is between two places of another one.
func between(text json.RawMessage, from, to int) json.RawMessage {
	out := make(json.RawMessage, 0, to-from+2)
	out = append(append(out, '{'), text[from:to]...)
	return append(out, '}')
}

func commonPrefix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func commonSuffix(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// commaBefore is the place behind the last comma between two keys of a mapping that is before a place; without one, of its first key.
func commaBefore(text []byte, before int) int {
	at := 1
	commas(text, 1, func(i int) bool {
		if i >= before {
			return false
		}
		at = i + 1
		return true
	})
	return at
}

// commaBehind is the first comma between two keys that is at or behind a place, where from is a key; without one, the end of the mapping.
func commaBehind(text []byte, from, place int) int {
	at := len(text) - 1
	commas(text, from, func(i int) bool {
		if i >= place {
			at = i
			return false
		}
		return true
	})
	return max(at, from)
}

// commas calls see with the place of each comma between two keys of a mapping, from a key on, until it reports false.
func commas(text []byte, from int, see func(int) bool) {
	depth, quoted := 0, false
	for i := from; i < len(text); i++ {
		switch c := text[i]; {
		case quoted:
			switch c {
			case '\\':
				i++
			case '"':
				quoted = false
			}
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 0:
			if !see(i) {
				return
			}
		}
	}
}
