// Package excerpt shortens what others said, such as a program that failed, to what fits into a message for people.
//
// It refuses to show a part of a word at the begin of an excerpt: a secret whose begin is cut off is one that nobody
// recognises any more, so that nothing masks it. It masks nothing itself; see package redact.
package excerpt

import (
	"bytes"
	"slices"
	"strings"
)

// maxSaid bounds what [Said] returns, in bytes, beside the sign that something is left out.
const maxSaid = 500

// more is the sign that something is left out.
const more = "…"

// Of returns at most the first so many bytes of a text, as valid UTF-8, and "…" behind them if that is not all.
func Of(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + more
}

// Said returns the last lines that a program wrote, in one line of about 500 bytes at most: there a program says why it
// failed. Lines are joined by "; " and not torn apart, unless the last one alone is too long: of that it is the last words.
func Said(output []byte) string {
	var lines []string
	room := maxSaid
	for rest := output; len(rest) > 0; {
		at := bytes.LastIndexByte(rest, '\n')
		line := strings.TrimSpace(strings.ToValidUTF8(string(rest[at+1:]), "?"))
		rest = rest[:max(at, 0)]
		if line == "" {
			continue
		}
		if len(line) > room {
			if len(lines) == 0 {
				line = ending(line, room)
			} else {
				line = more
			}
			lines = append(lines, line)
			break
		}
		lines, room = append(lines, line), room-len(line)-len("; ")
	}
	slices.Reverse(lines)
	return strings.Join(lines, "; ")
}

// ending returns the last words of a line for which there is room.
func ending(line string, room int) string {
	_, words, _ := strings.Cut(line[len(line)-room:], " ")
	if words = strings.TrimSpace(words); words == "" {
		return more
	}
	return more + " " + words
}
