//go:build linux

package fleet

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The environment variables the package reads.
const (
	EnvRun    = "VIGO_FLEET"        // 1: run the tests that need machines
	EnvCache  = "VIGO_FLEET_CACHE"  // where the image and the disks are kept; default: the user's cache directory
	EnvMirror = "VIGO_FLEET_MIRROR" // the Debian mirror to build the image from; default: the one apt uses here
)

// hostPackages lists the Debian packages this computer needs, one a line.
//
//go:embed packages.txt
var hostPackages string

// tools are the programs the package starts on this computer.
var tools = []string{
	"apt-config", "apt-get", "chroot", "debootstrap", "dpkg-deb", "dpkg-scanpackages", "ip", "mkfs.ext4", "mount", "nsenter", "setpriv",
	"systemd-nspawn",
}

var missing = sync.OnceValue(findMissing)

// Require skips the test unless VIGO_FLEET=1 is set. When it is set and this computer cannot boot machines, the test
// fails, saying what is missing.
func Require(t testing.TB) {
	t.Helper()
	if os.Getenv(EnvRun) != "1" {
		t.Skipf("boots Debian machines: set %s=1 to run it (as root)", EnvRun)
	}
	if err := missing(); err != nil {
		t.Fatalf("this computer cannot boot machines:\n%v\nDebian packages needed: %s", err, strings.Join(strings.Fields(hostPackages), " "))
	}
}

// findMissing returns every reason for which machines cannot boot here, joined.
func findMissing() error {
	var errs []error
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}
	for _, tool := range tools {
		if _, err := lookTool(tool); err != nil {
			errs = append(errs, fmt.Errorf("no %s", tool))
		}
	}
	if _, err := findCgroups(); err != nil {
		errs = append(errs, err)
	}
	if err := tryOverlay(); err != nil {
		errs = append(errs, err)
	}
	if ns, err := newNetns(); err != nil {
		errs = append(errs, err)
	} else {
		ns.close()
	}
	return errors.Join(errs...)
}

// lookTool finds a program, also where the path of a plain user does not lead.
func lookTool(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// tryOverlay mounts an overlay in the cache directory, in a mount namespace of its own.
func tryOverlay() error {
	cache, err := CacheDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("making the cache directory: %w", err)
	}
	dir, err := os.MkdirTemp(cache, ".overlay-")
	if err != nil {
		return fmt.Errorf("trying an overlay: %w", err)
	}
	defer os.RemoveAll(dir)
	for _, sub := range []string{imageLink, layerLink, upperDir, workDir, rootDir} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return fmt.Errorf("trying an overlay: %w", err)
		}
	}
	cmd := exec.Command("/bin/sh", "-c", mountOverlay)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mounting an overlay in %s (set %s to a directory on a disk): %w: %s", cache, EnvCache, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// CacheDir returns the directory of the image and of the disks of running machines.
func CacheDir() (string, error) {
	if dir := os.Getenv(EnvCache); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a cache directory (set %s): %w", EnvCache, err)
	}
	return filepath.Join(dir, "vigo-fleet"), nil
}
