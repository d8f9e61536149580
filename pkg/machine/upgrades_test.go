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
