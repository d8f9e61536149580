package adopt

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"nginx*", "nginx-core", true}, {"/etc/*", "/etc/a", true}, {"/etc/*", "/etc/a/b", false}, {"/etc/**", "/etc/a/b", true},
		{"**.bak", "/etc/a.bak", true}, {"/etc/systemd/**.wants/**", "/etc/systemd/system/x.wants/y", true}, {"**", "", true},
		{"/etc/**/x", "/etc/y", false}, {"[", "[", false}, {"file:/etc/a", "file:/etc/a", true},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("%s and %s: got %t", c.pattern, c.name, got)
		}
	}
}

func TestSecretOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		mode       fs.FileMode
		secret     bool
	}{
		{"/etc/a", "-----BEGIN OPENSSH PRIVATE KEY-----\n", 0o644, true},
		{"/etc/a", "-----BEGIN CERTIFICATE-----\n", 0o644, false},
		{"/etc/ssl/site.key", "x", 0o644, true},
		{"/etc/a", "url = https://user:pass@example.com/\n", 0o644, true},
		{"/etc/a", "url = https://example.com:80/a@b\n", 0o644, false},
		{"/etc/a", "db_password=hunter2\n", 0o644, true},
		{"/etc/a", "# password = x\npassword =\n", 0o644, false},
		{"/etc/a", "password = ${PASSWORD}\n", 0o644, false},
		{"/etc/ssh/sshd_config", "PasswordAuthentication no\nPermitEmptyPasswords no\n", 0o644, false},
		{"/etc/nsswitch.conf", "passwd:  files systemd\nshadow: files\n", 0o644, false},
		{"/etc/sudoers.d/ops", "%ops ALL=(ALL) NOPASSWD: ALL\n", 0o440, false},
		{"/etc/chap", "requirepass: no\nsecret foobared\n", 0o600, true},
		{"/etc/wpa.conf", "  psk=\"open sesame\"\n", 0o644, true},
		{"/etc/htpasswd2", "ada:$apr1$x2Lz$abcdef\n", 0o644, true},
		{"/etc/users.yaml", "hash: $2y$10$abcdefghijklmnopqrstuv\n", 0o644, true},
		{"/etc/grub.d/40_custom", "password_pbkdf2 root grub.pbkdf2.sha512.10000.AB\n", 0o755, true},
		{"/etc/snmp/snmpd.conf", "rocommunity internal\n", 0o600, true},
		{"/etc/ppp/chap-secrets", "a * b *\n", 0o644, true},
		{"/etc/a.sh", "x=$1 y=$2\necho $6 $y\n", 0o644, false},
		{"/etc/a", "\x00\xff", 0o600, true},
		{"/etc/a", "\x00\xff", 0o644, false},
	} {
		if why := secretOf(c.name, c.mode, []byte(c.text)); (why != "") != c.secret {
			t.Errorf("%s %o %q: %q", c.name, c.mode, c.text, why)
		}
	}
}

func TestAuthorizedKeyLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]map[string]any{
		`ssh-rsa AAAA a b`: {"user": "u", "type": "ssh-rsa", "key": "AAAA", "comment": "a b"},
		`from="a,b c",no-pty ssh-rsa AAAA x`: {"user": "u", "type": "ssh-rsa", "key": "AAAA", "comment": "x",
			"options": []any{`from="a,b c"`, "no-pty"}},
		`command="echo \"x, y\"" ssh-rsa AAAA x`: {"user": "u", "type": "ssh-rsa", "key": "AAAA", "comment": "x", "options": []any{`command="echo \"x, y\""`}},
		`ssh-rsa AAAA`:                           nil, `no-pty`: nil, `from="a ssh-rsa AAAA x`: nil, ``: nil,
	} {
		r, ok := authorizedKey("u", line)
		if ok != (want != nil) || ok && cmp.Diff(want, r.Attrs) != "" {
			t.Errorf("%s: %t %s", line, ok, cmp.Diff(want, r.Attrs))
		}
	}
}

func TestTopicOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"/etc/nginx/nginx.conf": "nginx", "/etc/nginx/": "nginx", "/etc/hosts.allow": "etc", "/etc/systemd/system/App@x.service": "app",
		"/etc/systemd/system/app.service.d/": "app", "/etc/systemd/system/": "systemd", "/etc/systemd/journald.conf": "systemd", "/etc/cron.daily/x": "cron",
		"/etc/sudoers.d/x": "sudo", "/etc/apt/sources.list": "repositories", "/usr/local/bin/x": "local", "/srv/app/x": "srv", "/etc/123/x": "other",
		"/etc/sysctl.conf": "kernel", "/etc/logrotate.d/x": "logrotate",
	} {
		if got := topicOf(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// What is needed by the base system was not chosen, also where nothing says that it came for the sake of others.
func TestBasePackages(t *testing.T) {
	t.Parallel()
	db := &database{packages: map[string]*installed{}, conffiles: map[string]string{}}
	db.readStatus([]byte("Package: base\nStatus: install ok installed\nPriority: required\nDepends: liba (>= 1) | libx, libb:any\n\n" +
		"Package: liba\nStatus: install ok installed\nPriority: optional\nDepends: libc\n\nPackage: libb\nStatus: hold ok installed\n\n" +
		"Package: libc\nStatus: install ok installed\nConffiles:\n /etc/c 0123456789abcdef0123456789abcdef\n /etc/old 0123456789abcdef0123456789abcdef obsolete\n\n" +
		"Package: app\nStatus: install ok installed\n\nPackage: gone\nStatus: deinstall ok config-files\n"))
	db.markBase()
	var chosen []string
	for name, p := range db.packages {
		if !p.base {
			chosen = append(chosen, name)
		}
	}
	if strings.Join(chosen, " ") != "app" || !db.packages["libb"].held || len(db.conffiles) != 1 {
		t.Errorf("chosen %v, conffiles %v", chosen, db.conffiles)
	}
}

func TestMentions(t *testing.T) {
	t.Parallel()
	db := &database{scripts: []byte("adduser --system app-runner\ncp /usr/share/x /etc/x.conf\n")}
	for word, want := range map[string]bool{"app-runner": true, "app": false, "runner": false, "/etc/x.conf": true, "/etc/x": true, "/etc/x.con": false, "x": false} {
		if got := db.mentions(word); got != want {
			t.Errorf("%s: got %t", word, got)
		}
	}
}

func FuzzReadStatus(f *testing.F) {
	f.Add([]byte("Package: a\nStatus: install ok installed\nDepends: b (>= 1) | c,\nConffiles:\n /etc/a 0123456789abcdef0123456789abcdef\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		db := &database{packages: map[string]*installed{}, conffiles: map[string]string{}}
		db.readStatus(text)
		db.markBase()
	})
}

func FuzzAuthorizedKey(f *testing.F) {
	f.Add(`from="a,b c",no-pty ssh-rsa AAAA x`)
	f.Fuzz(func(t *testing.T, line string) {
		if r, ok := authorizedKey("u", line); ok && (r.Attrs["key"] == "" || r.Attrs["comment"] == "") {
			t.Errorf("%q: %v", line, r.Attrs)
		}
	})
}

func TestChoice(t *testing.T) {
	t.Parallel()
	const text = "manual\n/usr/bin/editor\neditor.1.gz\n/usr/share/man/man1/editor.1.gz\n\n/bin/nano\n40\n/man/nano.gz\n/usr/local/bin/ed\n10\n\n\n"
	for program, want := range map[string]map[string]any{
		"/bin/nano":         {"path": "/bin/nano"},
		"/usr/local/bin/ed": {"path": "/usr/local/bin/ed", "link": "/usr/bin/editor", "priority": 10},
		"/bin/vi":           nil, "/usr/bin/editor": nil,
	} {
		got, manual := choice(text, program)
		if diff := cmp.Diff(want, got); diff != "" || manual != (want != nil) {
			t.Errorf("%s: manual %t (-want +got):\n%s", program, manual, diff)
		}
	}
	if got, manual := choice("auto"+text[len("manual"):], "/bin/nano"); manual || got == nil || len(got) > 0 {
		t.Errorf("of what nobody has chosen: manual %t, %v", manual, got)
	}
	if got, _ := choice("", ""); got != nil {
		t.Errorf("from nothing: %v", got)
	}
}
