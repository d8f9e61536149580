//go:build linux

package machine

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
)

// What "apt-get -s upgrade" and "apt-cache policy" said on a Debian 12.
const (
	aptSimulation = `Reading package lists...
The following packages have been kept back:
  app
5 upgraded, 1 newly installed, 1 to remove and 1 not upgraded.
Inst libssl3 [3.0.20-1~deb12u2] (3.0.22-1~deb12u2 Debian:12.9/stable, Debian-Security:12/stable-security [amd64])
Inst libc6:i386 [2.36-9] (2.36-10 Debian:12 [i386]) [libc6:amd64 on libc6:i386]
Inst newlib (1 Debian:stable [all])
Remv oldlib [1]
Conf libssl3 (3.0.22-1~deb12u2 localhost [amd64])
Inst
Remv
Inst broken [1
`
	aptSources = `Package files:
 100 /var/lib/dpkg/status
     release a=now
 500 file:/srv/s ./ Packages
     release a=stable-security,n=stable-security,l=Debian-Security,c=
 500 http://deb.debian.org/debian bookworm/main amd64 Packages
     release v=12.9,o=Debian,a=stable,n=bookworm,l=Debian,c=main,b=amd64
     origin deb.debian.org
Pinned packages:
`
	aptTables = `lib:
  Installed: 1
  Candidate: 2
  Version table:
     2 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
     1.2 -10
        -10 file:/srv/s ./ Packages
     1.1 500
        500 file:/srv/s ./ Packages
 *** 1 500
        500 file:/srv/s ./ Packages
        100 /var/lib/dpkg/status
user:
  Installed: 1
  Candidate: 1
  Version table:
     2 500
        500 http://deb.debian.org/debian bookworm/main amd64 Packages
 *** 1 500
        500 file:/srv/s ./ Packages
        100 /var/lib/dpkg/status
     0.9 500
        500 file:/srv/s ./ Packages
`
)

func TestUpgradesOfAptAreRead(t *testing.T) {
	t.Parallel()
	want := []host.Upgrade{
		{Name: "libssl3", From: "3.0.20-1~deb12u2", To: "3.0.22-1~deb12u2"}, {Name: "libc6:i386", From: "2.36-9", To: "2.36-10"},
		{Name: "newlib", To: "1"}, {Name: "oldlib", From: "1"},
	}
	if diff := cmp.Diff(want, parseSimulation([]byte(aptSimulation))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	security := securitySources([]byte(aptSources))
	if diff := cmp.Diff(map[string]bool{"file:/srv/s ./ Packages": true}, security); diff != "" {
		t.Errorf("sources, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"lib": "1.1"}, parseVersionTables([]byte(aptTables), security)); diff != "" {
		t.Errorf("versions, -want +got:\n%s", diff)
	}
}

func TestUpgradesOfOthersAreRead(t *testing.T) {
	t.Parallel()
	zypper := `<?xml version='1.0'?>
<stream>
<message type="info">Loading repository data...</message>
<install-summary download-size="12094" space-usage-diff="0" packages-to-change="2">
<to-upgrade>
<solvable type="package" name="demo" edition="2.0-1" arch="noarch" edition-old="1.0-1" arch-old="noarch" summary="x"><description>x</description></solvable>
<solvable type="patch" name="SUSE-2026-1" edition="1" arch="noarch"/>
</to-upgrade>
<to-install><solvable type="package" name="fresh" edition="1.0-1" arch="noarch"/></to-install>
<to-remove><solvable type="package" name="old" edition="0.9-1" arch="noarch"/></to-remove>
</install-summary>
<prompt id="0"><text>Continue?</text></prompt></stream>`
	ofZypper, err := parseZypperSummary([]byte(zypper))
	if err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ got, want []host.Upgrade }{
		"zypper": {ofZypper, []host.Upgrade{{Name: "demo", From: "1.0-1", To: "2.0-1"}, {Name: "fresh", To: "1.0-1"}, {Name: "old", From: "0.9-1"}}},
		"table of zypper": {
			parseZypperTable([]byte("S | Repository | Name  | Version | Arch\n--+------------+-------+---------+-------\ni | lab        | other | 1.0-1   | noarch\n")),
			[]host.Upgrade{{Name: "other", From: "1.0-1"}},
		},
		"dnf": {
			parseCheckUpdate([]byte("\ndemo.noarch         2.0-1        lab\nbind-libs.x86_64    32:9.16-1    lab\nObsoleting Packages\nnew.noarch  1-1  lab\n")),
			[]host.Upgrade{{Name: "demo", To: "2.0-1"}, {Name: "bind-libs", To: "32:9.16-1"}},
		},
		"yum, a long name": {
			parseCheckUpdate([]byte("\nvery-long-name-of-a-package.x86_64\n                  0:4.2.46-35.el7_9       updates\nbash.x86_64  4.2-1  updates\n")),
			[]host.Upgrade{{Name: "very-long-name-of-a-package", To: "4.2.46-35.el7_9"}, {Name: "bash", To: "4.2-1"}},
		},
		"apk": {
			parseApkSteps([]byte("(1/3) Upgrading busybox (1.36.1-r4 -> 1.36.1-r5)\n( 2/3) Installing zlib (1.3-r0)\n(3/3) Purging old (1-r0)\nOK: 9 MiB in 15 packages\n")),
			[]host.Upgrade{{Name: "busybox", From: "1.36.1-r4", To: "1.36.1-r5"}, {Name: "zlib", To: "1.3-r0"}, {Name: "old", From: "1-r0"}},
		},
		"opkg": {
			parseOpkgUpgradable([]byte("dropbear - 2022.82-1 - 2022.83-1\nnot a line\n")),
			[]host.Upgrade{{Name: "dropbear", From: "2022.82-1", To: "2022.83-1"}},
		},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzUpgradesOfOthers(f *testing.F) {
	f.Add([]byte("demo.noarch 2.0-1 lab\n(1/1) Upgrading a (1 -> 2)\na - 1 - 2\ni | r | n | 1 | a\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		all := append(append(parseCheckUpdate(out), parseApkSteps(out)...), append(parseOpkgUpgradable(out), parseZypperTable(out)...)...)
		ofZypper, err := parseZypperSummary(out)
		if err != nil && ofZypper != nil {
			t.Error("upgrades with an error")
		}
		for _, u := range append(all, ofZypper...) {
			if u.Name == "" || u.From == "" && u.To == "" {
				t.Errorf("an upgrade of nothing: %+v", u)
			}
		}
	})
}

func TestPatternsOfPackages(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"postgresql-15": true, "postgresql": false, "libc6:i386": true, "libc6": true, "zlib1g:i386": true, "zlib1g": false} {
		if got := excluded([]string{"postgresql-*", "libc6", "*:i386"}, name); got != want {
			t.Errorf("%s is excluded: %t, want %t", name, got, want)
		}
	}
}

func FuzzUpgradesOfApt(f *testing.F) {
	f.Add([]byte(aptSimulation), []byte(aptSources), []byte(aptTables))
	f.Fuzz(func(t *testing.T, simulation, sources, tables []byte) {
		for _, u := range parseSimulation(simulation) {
			if u.Name == "" || u.From == "" && u.To == "" {
				t.Errorf("an upgrade of nothing: %+v", u)
			}
		}
		for name, version := range parseVersionTables(tables, securitySources(sources)) {
			if name == "" || version == "" {
				t.Errorf("a version of nothing: %q %q", name, version)
			}
		}
	})
}
