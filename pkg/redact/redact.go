// Package redact takes known secrets out of text, also in the forms programs like to print them in. It is the second net:
// the first is that what a secret was rendered into is never shown at all.
//
// It refuses to guess what a secret is: it knows only the values it is given.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Masked stands where a secret was.
const Masked = "(masked)"

// The shortest value that is looked for, and the shortest line of a value of several lines, in bytes. To mask "a" would
// tear every text apart.
const (
	minValue = 4
	minLine  = 12
)

// A Redactor masks secrets. The zero value and nil mask nothing. It is safe for concurrent use.
type Redactor struct {
	forms    []string // longest first
	replacer *strings.Replacer
}

// New makes a redactor of secret values. Values of fewer than four bytes are left out.
func New(values ...string) *Redactor {
	set := map[string]bool{}
	for _, v := range values {
		for _, form := range formsOf(v) {
			set[form] = true
		}
	}
	r := &Redactor{}
	for form := range set {
		r.forms = append(r.forms, form)
	}
	slices.SortFunc(r.forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	pairs := make([]string, 0, 2*len(r.forms))
	for _, form := range r.forms {
		pairs = append(pairs, form, Masked)
	}
	r.replacer = strings.NewReplacer(pairs...)
	return r
}

// formsOf returns the ways a value may be written: as it is, trimmed, each of its long lines, quoted, in JSON, in URLs, in
// hexadecimal, and in base64 at each of its three alignments.
func formsOf(value string) []string {
	var all []string
	plain := []string{value, strings.TrimSpace(value)}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= minLine && len(line) < len(value) {
			plain = append(plain, line)
		}
	}
	for _, v := range plain {
		if len(v) < minValue {
			continue
		}
		quoted := strconv.Quote(v)
		inJSON, err := json.Marshal(v)
		if err == nil {
			all = append(all, string(inJSON[1:len(inJSON)-1]))
		}
		all = append(all, v, quoted[1:len(quoted)-1], url.QueryEscape(v), url.PathEscape(v), strings.ReplaceAll(url.QueryEscape(v), "+", "%20"),
			hex.EncodeToString([]byte(v)), strings.ToUpper(hex.EncodeToString([]byte(v))),
			strings.ReplaceAll(v, "'", `'\''`))
		all = append(all, base64Of(v)...)
	}
	return all
}

// base64Of returns what of a value shows in base64 wherever it stands in what was encoded: its first bytes may share a
// group of characters with what stands before, its last with what comes after.
func base64Of(v string) []string {
	var all []string
	for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for shift := range 3 {
			skip := (3 - shift) % 3
			if len(v) < skip+6 { // two whole groups, or it would match by chance
				continue
			}
			whole := v[skip:]
			all = append(all, enc.EncodeToString([]byte(whole[:len(whole)/3*3])))
		}
		all = append(all, enc.EncodeToString([]byte(v)), strings.TrimRight(enc.EncodeToString([]byte(v)), "="))
	}
	return all
}

// String returns s with every secret masked.
func (r *Redactor) String(s string) string {
	if r == nil || r.replacer == nil || s == "" {
		return s
	}
	return r.replacer.Replace(s)
}

// In says whether s holds a secret.
func (r *Redactor) In(s string) bool {
	return r != nil && slices.ContainsFunc(r.forms, func(form string) bool { return strings.Contains(s, form) })
}
