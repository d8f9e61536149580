//go:build linux

package machine

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
)

// rootWith makes a root folder with the given files.
func rootWith(t *testing.T, content map[string]string) *host.Host {
	t.Helper()
	root := t.TempDir()
	for name, text := range content {
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m, err := New(Options{Root: root, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m.Host()
}

func TestThePackageManagerIsFoundByItsDatabase(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]string
		want  []host.Package
	}{
		"apk": {
			map[string]string{
				"lib/apk/db/installed": "C:Q1abc=\nP:busybox\nV:1.36.1-r5\nA:x86_64\nF:bin\nR:busybox\n\nC:Q1def=\nP:alpine-baselayout\nV:3.4.3-r1\nA:x86_64\nf:s\n\n",
				"etc/apk/world":        "alpine-baselayout\nbusybox=1.36.1-r5\nzlib>1\n",
			},
			[]host.Package{{Name: "alpine-baselayout", Version: "3.4.3-r1", Arch: "x86_64", Broken: true}, {Name: "busybox", Version: "1.36.1-r5", Arch: "x86_64", Held: true}},
		},
		"pacman": {
			map[string]string{
				"var/lib/pacman/local/ALPM_DB_VERSION":                     "9\n",
				"var/lib/pacman/local/bash-5.2.026-2/desc":                 "%NAME%\nbash\n",
				"var/lib/pacman/local/gcc-libs-1:13.2.1-3/desc":            "%NAME%\ngcc-libs\n",
				"var/lib/pacman/local/ca-certificates-utils-20220905-1/de": "",
				"etc/pacman.conf": "[options]\nIgnorePkg = bash linux\n#IgnorePkg = gcc-libs\n",
			},
			[]host.Package{{Name: "bash", Version: "5.2.026-2", Held: true}, {Name: "ca-certificates-utils", Version: "20220905-1"}, {Name: "gcc-libs", Version: "1:13.2.1-3"}},
		},
		"opkg": {
			map[string]string{"usr/lib/opkg/status": "Package: busybox\nVersion: 1.36.1-1\nStatus: install hold,user installed\nArchitecture: mips\n\nPackage: dropbear\nVersion: 2022.82\nStatus: install user installed\nArchitecture: mips\n\nPackage: gone\nVersion: 1\nStatus: deinstall ok not-installed\n"},
			[]host.Package{{Name: "busybox", Version: "1.36.1-1", Arch: "mips", Held: true}, {Name: "dropbear", Version: "2022.82", Arch: "mips"}},
		},
		"dpkg before others": {
			map[string]string{"var/lib/dpkg/status": "Package: a\nStatus: install ok installed\nVersion: 1\n", "var/lib/rpm/rpmdb.sqlite": "", "lib/apk/db/installed": ""},
			[]host.Package{{Name: "a", Version: "1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := rootWith(t, c.files).Packages.All(t.Context())
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Errorf("%v, (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestWhatPackageManagersSayIsRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ got, want any }{
		"rpm": {
			parseRPM([]byte("bash\t0:5.1.8-6.el9\tx86_64\nbind-libs\t32:9.16.23-11.el9\tx86_64\ngpg-pubkey\t0:fd431d51-4ae0493b\t(none)\nnot a line\n")),
			[]host.Package{{Name: "bash", Version: "5.1.8-6.el9", Arch: "x86_64"}, {Name: "bind-libs", Version: "32:9.16.23-11.el9", Arch: "x86_64"}},
		},
		"repoquery":        {parseRepoquery([]byte("i686 2.34-60.el9\nx86_64 2.34-60.el9\ni686 2.34-59.el9\n")), "2.34-60.el9"},
		"repoquery of yum": {parseRepoquery([]byte("x86_64 0:4.2.46-35.el7_9\n")), "4.2.46-35.el7_9"},
		"repoquery, none":  {parseRepoquery(nil), ""},
		"versionlock":      {versionlocks("# Added locks\nbash-0:5.1.8-6.el9.*\n!vim-minimal-2:8.2-1.el9.*\n0:kernel-tools-3.10.0-1.el7.*\n"), []string{"bash", "kernel-tools"}},
		"locks of zypper":  {zypperHeld("\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: nano\n\n"), map[string]bool{"nano": true}},
		"info of zypper":   {labelled([]byte("Information for package nano:\n-----\nRepository     : repo\nName           : nano\nVersion        : 7.2-1.1\nArch           : x86_64\n"), "Version"), "7.2-1.1"},
		"info of pacman":   {labelled([]byte("Repository      : core\nName            : bash\nVersion         : 1:5.2-2\nURL             : https://x\n"), "Version"), "1:5.2-2"},
		"search of apk":    {parseApkSearch([]byte("busybox-extras-1.36.1-r5\nbusybox-1.36.1-r5\n"), "busybox"), "1.36.1-r5"},
		"list of opkg":     {parseOpkgList([]byte("tcpdump - 4.9-1 - Network monitoring\ntcpdump-mini - 9 - x\n"), "tcpdump"), "4.9-1"},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestHoldsOfPacman(t *testing.T) {
	t.Parallel()
	conf := "# conf\n[options]\nHoldPkg = pacman\n\n[core]\nServer = x\n"
	held := pacmanIgnore(conf, "bash", true)
	if want := "# conf\n[options]\nIgnorePkg = bash\nHoldPkg = pacman\n\n[core]\nServer = x\n"; held != want {
		t.Errorf("held: %q", held)
	}
	if again := pacmanIgnore(held, "bash", true); again != held {
		t.Errorf("held twice: %q", again)
	}
	if back := pacmanIgnore(held, "bash", false); back != conf {
		t.Errorf("released: %q", back)
	}
	if got := pacmanIgnore("[options]", "bash", true); got != "[options]\nIgnorePkg = bash\n" {
		t.Errorf("a file whose last line has no end: %q", got)
	}
	if got := pacmanIgnore("[options]\nIgnorePkg = a bash\n", "bash", false); got != "[options]\nIgnorePkg = a\n" {
		t.Errorf("released beside another: %q", got)
	}
}

func TestComplaintsAreToldApart(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]error{
		"ERROR: Unable to lock database: temporary error (try again later)":                     host.ErrBusy,
		"error: failed to init transaction (unable to lock database)":                           host.ErrBusy,
		"opkg_conf_load: Could not lock /var/lock/opkg.lock: Resource temporarily unavailable.": host.ErrBusy,
		"System management is locked by the application with pid 12 (zypper).":                  host.ErrBusy,
		"nosuch (no such package): required by: world[nosuch]":                                  host.ErrNotFound,
		"error: target not found: nosuch":                                                       host.ErrNotFound,
		"Unknown package 'nosuch'.":                                                             host.ErrNotFound,
		"No provider of 'nosuch' found.":                                                        host.ErrNotFound,
		"Error: Unable to find a match: nosuch":                                                 host.ErrNotFound,
		"No such command: versionlock. Please use /usr/bin/dnf --help":                          nil,
	} {
		err := complaint([]string{"dnf", "-y", "install", "nosuch"}, 1, said)
		if errors.Is(err, host.ErrBusy) != (want == host.ErrBusy) || errors.Is(err, host.ErrNotFound) != (want == host.ErrNotFound) {
			t.Errorf("%q: got %v, want %v", said, err, want)
		}
		if !strings.Contains(err.Error(), "dnf install: exit status 1") {
			t.Errorf("got %v", err)
		}
	}
}

func TestNamesThatProgramsWouldReadAsSomethingElse(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "-y", "--root=/x", "!bash", "a b", "a=1", "/etc/passwd", "a*", "@group", "+a", "a\n", "~c"} {
		if plainPackage(bad) == nil {
			t.Errorf("%q is taken for a name", bad)
		}
	}
	for _, good := range []string{"bash", "NetworkManager", "libstdc++", "python3.11", "lib32_x", "glibc:i686", "_x"} {
		if err := plainPackage(good); err != nil {
			t.Error(err)
		}
	}
	argv := names([]string{"dnf", "install"}, []host.PackageChange{{Name: "glibc:i686", Version: "2-1"}, {Name: "bash"}}, "-")
	if got := strings.Join(argv, " "); got != "dnf install glibc.i686-2-1 bash" {
		t.Error(got)
	}
}

// managersSay holds the readers of package managers to what is true of every input.
func managersSay(t *testing.T, data []byte) {
	pkgs, err := parseApk(bytes.NewReader(data), data)
	if err != nil && !errors.Is(err, bufio.ErrTooLong) {
		t.Error(err)
	}
	for _, p := range append(pkgs, parseRPM(data)...) {
		if p.Name == "" {
			t.Errorf("a package without a name: %+v", p)
		}
	}
	versionlocks(string(data))
	zypperHeld(string(data))
	parseRepoquery(data)
	parseApkSearch(data, "a")
	parseOpkgList(data, "a")
	held := pacmanIgnore(string(data), "bash", true)
	if !slices.Contains(pacmanIgnored(held), "bash") {
		t.Errorf("not held: %q", held)
	}
	if back := pacmanIgnore(held, "bash", false); slices.Contains(pacmanIgnored(back), "bash") {
		t.Errorf("not released: %q", back)
	}
}
