package peers

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vigo.dev/test/programs"
)

// staleMount names the place where this program, started anew, mounts a file system that nobody serves, before it becomes the
// program of its arguments.
const staleMount = "VIGO_TEST_STALE_MOUNT"

func TestMain(m *testing.M) {
	if place := os.Getenv(staleMount); place != "" {
		fmt.Fprintln(os.Stderr, becomeBehind(place))
		os.Exit(1)
	}
	os.Exit(programs.Main(m))
}

// becomeBehind returns only when it fails. The descriptor of FUSE is 3.
func becomeBehind(place string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if err := unix.Mount("stale:/export", place, "fuse", 0, "fd=3,rootmode=40000,user_id=0,group_id=0,subtype=sshfs"); err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	if err := os.Unsetenv(staleMount); err != nil {
		return err
	}
	return syscall.Exec(os.Args[1], os.Args[1:], os.Environ())
}
