package identity

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func newSecret(t *testing.T, operator bool) Secret {
	t.Helper()
	s, err := NewSecret(strings.Repeat("ab", 32), operator)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSecret is read back as it was made, pins its authority, and is kept as a hash that only it matches.
func TestSecret(t *testing.T) {
	t.Parallel()
	for _, operator := range []bool{false, true} {
		s := newSecret(t, operator)
		again, err := ParseSecret(" " + s.Text() + "\n")
		if err != nil || again != s || again.Fingerprint != strings.Repeat("ab", 32) || again.Operator != operator {
			t.Fatalf("read back: %v", err)
		}
		if !again.Matches(s.Hash()) {
			t.Error("it does not match its own hash")
		}
		if newSecret(t, operator).Matches(s.Hash()) {
			t.Error("another secret matches")
		}
		same := s
		same.ID = newSecret(t, operator).ID
		if same.Matches(s.Hash()) {
			t.Error("the secret matches under another ID")
		}
		for _, shown := range []string{fmt.Sprint(s), fmt.Sprintf("%v %s", s, s), string(s.Hash())} {
			if strings.Contains(shown, s.secret) {
				t.Errorf("%q shows the secret", shown)
			}
		}
		if strings.ContainsAny(s.Text(), " $`\"'\\*?&|;<>()[]{}~#!") {
			t.Errorf("%q has characters a shell minds", s.Text())
		}
	}
}

// TestParseSecret refuses what was cut or altered, whatever is wrong with it in the same words.
func TestParseSecret(t *testing.T) {
	t.Parallel()
	text := newSecret(t, false).Text()
	for name, bad := range map[string]string{
		"nothing":         "",
		"other word":      "hello",
		"cut":             text[:len(text)-1],
		"prefix missing":  strings.TrimPrefix(text, enrolPrefix),
		"capitals":        strings.ToUpper(text),
		"more after it":   text + ".x",
		"not hexadecimal": text[:len(text)-1] + "g",
		"space inside":    strings.Replace(text, ".", " .", 1),
		"very long":       text + strings.Repeat("a", 1<<20),
	} {
		if _, err := ParseSecret(bad); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAllow says why a grant does not let a node in.
func TestAllow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		grant Grant
		node  string
		want  error
	}{
		"once":                {Grant{Uses: 1}, "web-1", nil},
		"used up":             {Grant{Uses: 1, Used: 1}, "web-1", ErrUsed},
		"second of two":       {Grant{Uses: 2, Used: 1}, "web-1", nil},
		"no limit":            {Grant{Used: 1000}, "web-1", nil},
		"in time":             {Grant{Expires: noon.Add(time.Nanosecond)}, "web-1", nil},
		"this very moment":    {Grant{Expires: noon}, "web-1", ErrExpired},
		"revoked":             {Grant{Revoked: true}, "web-1", ErrToken},
		"name fits":           {Grant{Names: "web-*"}, "web-1", nil},
		"name does not fit":   {Grant{Names: "web-*"}, "db-1", ErrNotAllowed},
		"name fits in part":   {Grant{Names: "web-?"}, "web-10", ErrNotAllowed},
		"revoked, and used":   {Grant{Revoked: true, Uses: 1, Used: 1}, "web-1", ErrToken},
		"expired, other name": {Grant{Expires: noon, Names: "x"}, "web-1", ErrExpired},
	} {
		if err := c.grant.Allow(c.node, noon); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if err := (Grant{Names: "["}).Allow("web-1", noon); err == nil {
		t.Error("a pattern that is none lets a node in")
	}
}

// TestWindow accepts every counter once, in any order within 64, and nothing older.
func TestWindow(t *testing.T) {
	t.Parallel()
	var w Window
	for _, step := range []struct {
		counter int64
		want    bool
	}{{0, false}, {-1, false}, {5, true}, {5, false}, {3, true}, {3, false}, {4, true}, {70, true}, {6, false}, {7, true}, {7, false}, {1 << 40, true}, {70, false}, {1<<40 - 63, true}, {1<<40 - 64, false}} {
		if got := w.Accept(step.counter); got != step.want {
			t.Errorf("counter %d: %v", step.counter, got)
		}
	}
	kept := NewWindow(w.Highest())
	for _, old := range []int64{1 << 40, 1<<40 - 1, 1<<40 - 63} {
		if kept.Accept(old) {
			t.Errorf("after a restart %d is accepted again", old)
		}
	}
	if !kept.Accept(1<<40 + 1) {
		t.Error("after a restart the next counter is refused")
	}
}
