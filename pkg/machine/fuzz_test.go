//go:build linux

package machine

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func FuzzParseMountinfo(f *testing.F) {
	f.Add([]byte("26 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n36 26 0:30 / /mnt/with\\040space ro - tmpfs none ro,size=4k\n"))
	if own, err := os.ReadFile(mountinfoFile); err == nil {
		f.Add(own)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, m := range parseMountinfo(data) {
			if m.Path == "" || m.Type == "" || len(m.Options) == 0 {
				t.Errorf("mount %+q", m)
			}
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: 5.2\nDescription: x\n y\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		last := ""
		pkgs, err := parseStatus(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pkgs {
			if p.Name == "" || p.Version == "" || strings.Contains(p.Name+p.Version+p.Arch, "\n") {
				t.Errorf("package %+v", p)
			}
			if p.Name < last {
				t.Errorf("%q after %q", p.Name, last)
			}
			last = p.Name
		}
	})
}

func FuzzParseAccounts(f *testing.F) {
	f.Add([]byte("root:x:0:0:root:/root:/bin/bash\n+nis\n"), []byte("root:x:0:\nsudo:x:27:root\n"), []byte("root:*:19000:0:99999:7:::\n"))
	f.Fuzz(func(t *testing.T, passwd, group, shadow []byte) {
		db := parseAccounts(passwd, group, shadow)
		for _, u := range db.users {
			if u.Name == "" || u.UID < 0 || u.GID < 0 || strings.Contains(u.Name, ":") {
				t.Errorf("user %+v", u)
			}
		}
	})
}

// Whatever the kernel says, what is read of it lies within it.
func FuzzNetlinkAttributes(f *testing.F) {
	f.Add(attribute{kind: 1, data: []byte("main\x00")}.append(nil))
	f.Add([]byte{8, 0, 1, 0x80, 1, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		size := 0
		for _, a := range parseAttributes(data) {
			size += 4 + len(a.data)
			expressions(a.data)
		}
		if size > len(data) {
			t.Fatalf("%d bytes are read out of %d", size, len(data))
		}
	})
}
