package vigocmd

import (
	"strconv"
	"strings"
	"time"
)

// short is the first seven digits of a commit.
func short(commit string) string {
	if len(commit) > 7 {
		return commit[:7]
	}
	return commit
}

// shortDigest is a digest that people can compare by eye.
func shortDigest(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	if len(hex) > 12 {
		return hex[:12]
	}
	return orDash(hex)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// counted is a number of things: 1 module, 2 modules.
func counted(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return strconv.Itoa(n) + " " + thing
}

// ago renders how long before now something was: 12s, 3m, 2h, 5d.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(now.Sub(t).Truncate(time.Second)) + " ago"
}

// span renders a duration in its largest unit.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 2*time.Minute:
		return d.Round(time.Second).String()
	case d < 2*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Hour).String(), "0m0s")
	}
	return strconv.Itoa(int(d/(24*time.Hour))) + "d"
}
