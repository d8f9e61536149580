package cli

import (
	"bytes"
	"testing"
)

func TestWhatNodesSayDoesNotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"web-1  ok\n\ttab, ü, 世界":              "web-1  ok\n\ttab, ü, 世界",
		"\x1b[31mPROBLEMS\x1b[0m\x1b[H\x1b[2J": "\x1b[31mPROBLEMS\x1b[0m\x1b[H\x1b[2J",
		"title \x1b]0;owned\x07":               "title \ufffd]0;owned\ufffd",
		"keys \x1b[6n, \x1bP$q\x1b\\":          "keys \ufffd[6n, \ufffdP$q\ufffd\\",
		"up \x1b[1A\x08\x7f":                   "up \ufffd[1A\ufffd\ufffd",
		"c1 \u009b31m":                         "c1 \ufffd31m",
		"raw \x9b31m":                          "raw \ufffd31m",
		"reversed \u202egpj.exe":               "reversed \ufffdgpj.exe",
		"hidden\rshown":                        "hidden\ufffdshown",
		"dos\r\n\r\x1b[Kvigo: asking":          "dos\r\n\r\x1b[Kvigo: asking",
		"alert \x1b":                           "alert \ufffd",
	} {
		var out bytes.Buffer
		if n, err := (terminal{&out}).Write([]byte(written)); n != len(written) || err != nil {
			t.Errorf("%q: wrote %d, %v", written, n, err)
		}
		if out.String() != want {
			t.Errorf("%q came out as %q, want %q", written, out.String(), want)
		}
	}
}
