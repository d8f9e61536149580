//go:build linux

package machine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// KeepOutOfDumps has the kernel write no core of this program when it crashes, and let nobody but root look into its memory: it
// may hold secrets. What it starts is not concerned. See prctl(2), PR_SET_DUMPABLE.
func KeepOutOfDumps() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keeping this program out of core dumps: %w", err)
	}
	return nil
}
