package resources

import (
	"context"
	"path"
	"strings"
	"testing"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/resource"
)

// planTwice applies a resource to a machine whose file holds content, and proves that a second run has nothing to do and
// that every old line for which keep is true is still there, in order.
func planTwice(t *testing.T, res resource.Resource, name, content string, keep func(string) bool) {
	t.Helper()
	ctx := context.Background()
	m, err := hosttest.Parse([]byte("user root uid=0 gid=0 home=/root\ndir /root/.ssh mode=0700\n"))
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	if err := h.FS.MakeDir(ctx, path.Dir(name), host.Attr{}); err != nil {
		t.Fatal(err)
	}
	if err := h.FS.Write(ctx, name, strings.NewReader(content), host.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	plan, err := res.Plan(ctx, h)
	if err != nil {
		return // damaged markers and the like: refused, and so unchanged
	}
	if _, err := plan.Apply(ctx); err != nil {
		t.Fatal(err)
	}
	after, err := h.FS.Read(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	again, err := res.Plan(ctx, h)
	if err != nil {
		t.Fatalf("second look at %q: %v", after, err)
	}
	if !again.Empty() {
		t.Fatalf("not idempotent: %q became %q, and then wants %v", content, after, again.Changes())
	}
	// Which CR belong to the end of a line depends on the other lines, so they do not count here.
	rest := textOf(string(after)).lines
	for _, old := range textOf(content).lines {
		kept := keep(old)
		for bare := old; kept && strings.HasSuffix(bare, "\r"); kept = keep(bare) {
			bare = strings.TrimSuffix(bare, "\r")
		}
		if !kept {
			continue
		}
		at := 0
		for at < len(rest) && strings.TrimRight(rest[at], "\r") != strings.TrimRight(old, "\r") {
			at++
		}
		if at == len(rest) {
			t.Fatalf("the line %q of %q is lost: %q", old, content, after)
		}
		rest = rest[at+1:]
	}
}

func FuzzLineTwice(f *testing.F) {
	f.Add("a\nb\n", "c", "^b", "", "", false)
	f.Add("#x=1\nx=2\nx=3", "x = 4", "^#?x=", "", "^z", false)
	f.Add("a\r\nb\r\n", "a", "", "^a", "", true)
	f.Add("a\r\nb\n\n\r", "", "b", "", "", true)
	f.Add("\r\nb\n", "", "b", "", "", true)
	f.Add("x\r\nb\n", "x", "b", "", "", true)
	f.Fuzz(func(t *testing.T, content, line, match, after, before string, absent bool) {
		l := &Line{Name: "x", Path: "/etc/x", Text: line, Match: match, InsertAfter: after, InsertBefore: before}
		if absent {
			l.Ensure = "absent"
		}
		if l.Validate() != nil {
			return
		}
		re, _ := patternOf("match", match)
		planTwice(t, l, l.Path, content, func(s string) bool { return s != line && (re == nil || !re.MatchString(s)) })
	})
}

func FuzzBlockTwice(f *testing.F) {
	f.Add("a\nb\n", "c\nd", "^b", false)
	f.Add("a\n# vigo begin b\nx\n# vigo end b\n", "", "", false)
	f.Add("# vigo begin b\r\nx\r\n# vigo end b\r\n", "y\r\n", "", true)
	f.Fuzz(func(t *testing.T, content, body, after string, absent bool) {
		b := &Block{Name: "b", Path: "/etc/x", Content: &body, InsertAfter: after}
		if absent {
			b.Ensure, b.Content = "absent", nil
		}
		if b.Validate() != nil {
			return
		}
		inside := false
		planTwice(t, b, b.Path, content, func(s string) bool {
			mark := s == b.marker("begin") || s == b.marker("end")
			inside = s == b.marker("begin") || inside && s != b.marker("end")
			return !inside && !mark
		})
	})
}

func FuzzHostEntryTwice(f *testing.F) {
	f.Add("127.0.0.1 localhost\n::1 localhost\n", "10.0.0.1", "localhost", "l", false)
	f.Add("bad localhost\n10.0.0.1\tx x#x\n", "::ffff:10.0.0.1", "x", "y", false)
	f.Add("fe80::1%eth0 x\n", "fe80::1%eth0#", "x", "y", false)
	f.Fuzz(func(t *testing.T, content, ip, name, alias string, absent bool) {
		e := &HostEntry{Entry: name, IP: ip, Aliases: []string{alias}}
		if absent {
			e.Ensure = "absent"
		}
		if e.Validate() != nil {
			return
		}
		planTwice(t, e, "/etc/hosts", content, func(s string) bool { return !strings.Contains(s, name) })
	})
}

func FuzzAuthorizedKeyTwice(f *testing.F) {
	key := "AAAAC3NzaC1lZDI1NTE5AAAAIIHUCGi3nH8s1+7b5RiJx0RvyLoMYDm3kmzhvb1DXMDd"
	f.Add("ssh-ed25519 "+key+" a\n# "+key+"\nssh-rsa AAAA b", "no-pty", "c", false)
	f.Add("from=\"a b\" ssh-ed25519 "+key+"\r\n", "", "", true)
	f.Fuzz(func(t *testing.T, content, option, comment string, absent bool) {
		k := &AuthorizedKey{Name: "x", User: "root", Type: "ssh-ed25519", Key: key, Comment: comment}
		if option != "" {
			k.Options = []string{option}
		}
		if absent {
			k.Ensure = "absent"
		}
		if k.Validate() != nil {
			return
		}
		planTwice(t, k, "/root/.ssh/authorized_keys", content, func(s string) bool { return !strings.Contains(s, key) })
	})
}

func TestCronSchedules(t *testing.T) {
	t.Parallel()
	for schedule, good := range map[string]bool{
		"* * * * *": true, "*/5 0-23/2 1,15 jan-jun mon": true, "@daily": true, "59 23 31 12 7": true,
		"": false, "* * * *": false, "* * * * * *": false, "60 * * * *": false, "* * 0 * *": false, "5/2 * * * *": false,
		"*/0 * * * *": false, "5-1 * * * *": false, "* * * foo *": false, "@dayly": false, "1,,2 * * * *": false, "* * * * *\n": false,
	} {
		if err := cronSchedule(schedule); (err == nil) != good {
			t.Errorf("%q: %v", schedule, err)
		}
	}
}

func FuzzIniTwice(f *testing.F) {
	f.Add("[a]\nk = 1\n#l=2\n", "a", "k", "v", "", false)
	f.Add("k 1\n\tk\t2", "", "k", "v w", "\t", false)
	f.Add("[a]\r\nk:1\r\n", "a", "l", "", ":", true)
	f.Add("\ufeffk = 1 \\\n  2\n", "", "k", "x", "", true)
	f.Add("k = 1\\", "", "l", "x", "", false)
	f.Add("k = 1\n", "", "\ufeffk", "x", "", false)
	f.Fuzz(func(t *testing.T, content, section, key, value, separator string, absent bool) {
		i := &Ini{Name: "x", Path: "/etc/x", Section: section, Key: key, Value: &value, Separator: separator}
		if absent {
			i.Ensure, i.Value = "absent", nil
		}
		if i.Validate() != nil {
			return
		}
		mine := func(s string) bool { return strings.Contains(s, key) || strings.HasSuffix(s, `\`) }
		planTwice(t, i, i.Path, content, func(s string) bool {
			return !mine(s) && key != "" && !strings.Contains(content, "\\\n") && !strings.Contains(content, "\\\r")
		})
	})
}

func FuzzReplaceTwice(f *testing.F) {
	f.Add("a\nb\n", "b$", "c", "", "")
	f.Add("a\r\nb\r\n", "(a)", "$1$1", "x", "^")
	f.Add("a\r\nb", `\n`, "", "", "b")
	f.Add("a\nb\n", `\n`, "x", "", "")
	f.Add("a\nb", "[^\r\n]$", "\r", "", "")
	f.Fuzz(func(t *testing.T, content, match, with, from, to string) {
		r := &Replace{Name: "x", Path: "/etc/x", Match: match, With: with, From: from, To: to}
		if r.Validate() != nil {
			return
		}
		planTwice(t, r, r.Path, content, func(string) bool { return false })
	})
}
