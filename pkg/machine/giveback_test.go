//go:build linux

package machine

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOnlyPagesThatTheFileHasAreGivenBack(t *testing.T) {
	t.Parallel()
	got, err := cleanMappings(strings.NewReader(`00400000-00c00000 r-xp 00000000 fe:00 12 /usr/bin/vigo-agent
Size:               8192 kB
Anonymous:             0 kB
00c00000-01000000 r--p 00800000 fe:00 12 /usr/bin/vigo-agent
Anonymous:             4 kB
01000000-01100000 rw-p 00c00000 fe:00 12 /usr/bin/vigo-agent
Anonymous:             0 kB
01100000-01200000 r--p 00000000 fe:00 99 /usr/lib/other.so
Anonymous:             0 kB
c000000000-c000400000 rw-p 00000000 00:00 0 [anon: Go: heap]
Anonymous:             0 kB
`), "/usr/bin/vigo-agent")
	if diff := cmp.Diff([]mapping{{0x400000, 0x800000}}, got, cmp.AllowUnexported(mapping{})); err != nil || diff != "" {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

func TestProgramGoesOnAfterGivingBack(t *testing.T) {
	t.Parallel()
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer smaps.Close()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if clean, err := cleanMappings(smaps, program); err != nil || len(clean) == 0 {
		t.Fatalf("the running program has no mapping that can be given back: %v, %v", clean, err)
	}
	for range 3 {
		if err := GiveBack(); err != nil {
			t.Fatal(err)
		}
	}
}
