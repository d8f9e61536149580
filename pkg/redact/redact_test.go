package redact_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"vigo.dev/pkg/redact"
)

// TestForms plants a secret in every form that programs print, inside of other text.
func TestForms(t *testing.T) {
	t.Parallel()
	const secret = "hunter2 & co/'quoted'\\é"
	r := redact.New(secret)
	for name, text := range map[string]string{
		"plain":           "password=" + secret + ";",
		"quoted":          fmt.Sprintf("bad value %q", secret),
		"base64":          base64.StdEncoding.EncodeToString([]byte(secret)),
		"url base64":      base64.RawURLEncoding.EncodeToString([]byte(secret)),
		"base64 behind 1": base64.StdEncoding.EncodeToString([]byte("u" + secret + "@host")),
		"base64 behind 2": base64.StdEncoding.EncodeToString([]byte("u:" + secret + "@host")),
		"base64 behind 5": base64.StdEncoding.EncodeToString([]byte("user:" + secret + "@host")),
		"hex":             hex.EncodeToString([]byte(secret)),
		"HEX":             strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"query":           "https://x/?p=" + url.QueryEscape(secret),
		"path":            "https://x/" + url.PathEscape(secret),
		"shell":           "'" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
	} {
		got := r.String(text)
		if got == text || !strings.Contains(got, redact.Masked) || !r.In(text) {
			t.Errorf("%s: %q stays %q", name, text, got)
		}
	}
	if got := r.String("nothing here"); got != "nothing here" {
		t.Errorf("harmless text became %q", got)
	}
}

// TestLines masks the lines of a key one by one, as a diff shows them.
func TestLines(t *testing.T) {
	t.Parallel()
	r := redact.New("-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END KEY-----\n")
	if got := r.String("+MC4CAQAwBQYDK2VwBCIEIA=="); got != "+(masked)" {
		t.Errorf("a line of a key is shown as %q", got)
	}
}

// TestShort leaves values alone that would tear every text apart.
func TestShort(t *testing.T) {
	t.Parallel()
	if got := redact.New("", "a", "abc").String("an abc"); got != "an abc" {
		t.Errorf("got %q", got)
	}
	var none *redact.Redactor
	if none.String("x") != "x" || none.In("x") {
		t.Error("a nil redactor changes text")
	}
}
