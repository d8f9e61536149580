//go:build linux

package machine

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// GiveBack makes this process small before it sleeps for long: what is free of the heap goes back to the system, and the
// pages of the program file are unmapped. The kernel keeps those in its cache while nobody needs the room, and maps them
// again one by one when the program goes on, which costs some milliseconds.
func GiveBack() error {
	debug.FreeOSMemory()
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return fmt.Errorf("giving memory back: %w", err)
	}
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("giving memory back: %w", err)
	}
	defer smaps.Close()
	clean, err := cleanMappings(smaps, program)
	if err != nil {
		return fmt.Errorf("giving memory back: %w", err)
	}
	for _, m := range clean {
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, m.start, m.size, unix.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("giving memory back: madvise: %w", errno)
		}
	}
	return nil
}

type mapping struct{ start, size uintptr }

// cleanMappings finds in proc_pid_smaps(5) the mappings of a file that cannot be written and of which no page was ever
// changed (an address that was filled in at the start, say): only those can be read from the file again.
func cleanMappings(smaps io.Reader, file string) ([]mapping, error) {
	var clean []mapping
	var m mapping
	var wanted bool
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) >= 5 && strings.Contains(f[0], "-"):
			wanted = len(f) == 6 && f[5] == file && (f[1] == "r-xp" || f[1] == "r--p")
			first, last, _ := strings.Cut(f[0], "-")
			from, err1 := strconv.ParseUint(first, 16, 64)
			to, err2 := strconv.ParseUint(last, 16, 64)
			if err1 != nil || err2 != nil || to <= from {
				return nil, fmt.Errorf("reading the mappings: %q", lines.Text())
			}
			m = mapping{uintptr(from), uintptr(to - from)}
		case wanted && len(f) == 3 && f[0] == "Anonymous:" && f[1] == "0":
			clean = append(clean, m)
		}
	}
	return clean, lines.Err()
}
