//go:build linux

package machine

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

func statOf(t *testing.T, name string) *unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	return &st
}

func TestAccountsInRoot(t *testing.T) {
	t.Parallel()
	m, root := open(t, map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\n# kept\n",
		"etc/group":  "root:x:0:\nsudo:x:27:root\n",
		"etc/shadow": "root:*:19000:0:99999:7:::\n",
	})
	a, ctx := m.Host().Accounts, t.Context()
	uid, shell, hash, expires := 1500, "/bin/zsh", "$6$a$b", "2030-12-31"
	put := host.AccountChange{
		User: "alice", UID: &uid, Shell: &shell, Password: &hash, Expires: &expires, Groups: &[]string{"sudo"}, MakeHome: true,
		Aging: host.Aging{Max: "90", Warn: "-1"},
	}
	for range 2 {
		if err := a.Put(ctx, put); err != nil {
			t.Fatal(err)
		}
	}
	want := host.User{
		Name: "alice", UID: 1500, GID: 1500, Home: "/home/alice", Shell: shell, Groups: []string{"sudo"}, Password: hash, Expires: expires,
		Aging: host.Aging{Min: "0", Max: "90"},
	}
	if got, err := a.User(ctx, "alice"); err != nil || !cmp.Equal(want, got) {
		t.Error(err, cmp.Diff(want, got))
	}
	if err := a.Put(ctx, host.AccountChange{Group: "ops", Members: &[]string{"alice"}}); err != nil {
		t.Fatal(err)
	}
	bad := "x:y"
	if err := a.Put(ctx, host.AccountChange{User: "eve", Comment: &bad}); err == nil {
		t.Error("a colon was accepted")
	}
	if err := a.Put(ctx, host.AccountChange{User: "eve", UID: &uid}); err == nil {
		t.Error("a number was given twice")
	}
	if err := a.Drop(ctx, host.AccountDrop{User: "alice", RemoveHome: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.User(ctx, "alice"); !errors.Is(err, host.ErrNotFound) {
		t.Error(err)
	}
	for name, want := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\n# kept\n",
		"etc/shadow": "root:*:19000:0:99999:7:::\n",
		"etc/group":  "root:x:0:\nsudo:x:27:root\nops:x:1501:\n",
	} {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestServicesInRoot(t *testing.T) {
	t.Parallel()
	m, _ := open(t, map[string]string{
		"usr/lib/systemd/system/ssh.service":    "[Service]\n[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n",
		"usr/lib/systemd/system/static.service": "[Service]\nExecStart=/bin/true\n",
		"usr/lib/systemd/system/getty@.service": "[Install]\nWantedBy=getty.target\nDefaultInstance=tty1\n",
		"etc/systemd/system/masked.service":     "-> /dev/null",
		"usr/lib/systemd/system/masked.service": "[Install]\nWantedBy=a.target\n",
	})
	s, ctx := m.Host().Services, t.Context()
	boot := func(name string, want host.Boot) {
		t.Helper()
		if got, err := s.Service(ctx, name); err != nil || got.Boot != want || got.Live {
			t.Errorf("%s: got %+v, %v, want %s", name, got, err, want)
		}
	}
	boot("ssh", host.Disabled)
	boot("static", host.Static)
	boot("masked", host.Masked)
	for _, step := range []struct {
		name string
		boot host.Boot
	}{{"ssh", host.Enabled}, {"getty@tty2", host.Enabled}, {"masked", host.Enabled}, {"masked", host.Masked}, {"ssh", host.Masked}, {"ssh", host.Disabled}} {
		if err := s.SetBoot(ctx, step.name, step.boot); err != nil {
			t.Fatal(err)
		}
		boot(step.name, step.boot)
	}
	if err := s.SetBoot(ctx, "static", host.Enabled); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := s.Service(ctx, "none"); !errors.Is(err, host.ErrNotFound) {
		t.Error(err)
	}
	if err := s.SetRunning(ctx, "ssh", true); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

func TestStatusIsReadPieceByPiece(t *testing.T) {
	t.Parallel()
	// The second piece of the long line looks like a field.
	long := "X-Note: " + strings.Repeat("x", statusLine-len("X-Note: ")) + "Version: 9\n"
	status := "Package: a\nStatus: install ok installed\n" + long + "Architecture: all\nVersion: 1\n\nPackage: b\nStatus: hold ok installed\nVersion: 2"
	got, err := parseStatus(strings.NewReader(status))
	want := []host.Package{{Name: "a", Version: "1", Arch: "all"}, {Name: "b", Version: "2", Held: true}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
	if _, err := parseStatus(iotest.ErrReader(unix.EIO)); !errors.Is(err, unix.EIO) {
		t.Errorf("an unreadable database: %v", err)
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("Package: a\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\nPackage: b\nStatus: hold ok half-configured\nVersion: 2"))
	f.Add([]byte("root:x:0:0:root:/root:/bin/bash\n+nis\nbad:x:y:0:::\n"))
	f.Add([]byte("21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n22 21 0:5 / /my\\040dir rw - tmpfs none rw"))
	f.Add([]byte("P:busybox\nV:1.36\nA:x86_64\nf:s\n\nbash\t0:5.1-6\tx86_64\n[options]\nIgnorePkg = a b\nbash-0:5.1-6.el9.*\n"))
	f.Add([]byte("[Install]\nWantedBy=a b \\\n c\nWantedBy=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		pkgs, err := parseStatus(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pkgs {
			if p.Name == "" || p.Version == "" {
				t.Errorf("a package without a name or version: %+v", p)
			}
		}
		for _, u := range parseAccounts(data, data, data).users {
			if u.Name == "" || u.UID < 0 {
				t.Errorf("%+v", u)
			}
		}
		parseMountinfo(data)
		parsePolicy(data)
		managersSay(t, data)
		for _, link := range (unitFile{name: "a.service", install: parseInstall(data)}).links() {
			if len(link) <= len(unitConfig) || link[:len(unitConfig)] != unitConfig {
				t.Errorf("a link out of its folder: %q", link)
			}
		}
	})
}
