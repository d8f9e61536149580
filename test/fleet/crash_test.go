//go:build linux

package fleet_test

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vigo.dev/test/fleet"
)

// envVictim is set in the process that TestKilledRunLeavesNothing kills.
const envVictim = "VIGO_FLEET_VICTIM"

// TestKilledRunLeavesNothing kills a test process that has a machine, and then looks for what is left.
func TestKilledRunLeavesNothing(t *testing.T) {
	fleet.Require(t)
	warm(t)
	cache := cacheOfItsOwn(t)
	mounts, links, before := readMounts(t), readLinks(t), machineDirs(t, cache)

	victim := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
	victim.Env = append(os.Environ(), envVictim+"=1")
	victim.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	said := ""
	for lines := bufio.NewScanner(out); !strings.Contains(said, "machine is up") && lines.Scan(); {
		said += lines.Text() + "\n"
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // killed
	left := without(machineDirs(t, cache), before)
	if len(left) != 1 {
		t.Fatalf("the killed process left %v, want one directory; it said:\n%s", left, said)
	}
	waitFor(t, "the end of the machine", func(context.Context) error { return noProcessIn(left[0]) })

	fleet.Start(t, fleet.Options{}) // removes what dead processes left
	if now := machineDirs(t, cache); slices.Contains(now, left[0]) {
		t.Errorf("the next run does not remove %s", left[0])
	}
	for _, dir := range findGroups(t, filepath.Base(left[0])) {
		t.Errorf("control group %s is left", dir)
	}
	if now := readMounts(t); now != mounts {
		t.Errorf("mounts before:\n%s\nafter:\n%s", mounts, now)
	}
	if now := readLinks(t); now != links {
		t.Errorf("interfaces before: %s, after: %s", links, now)
	}
}

// cacheOfItsOwn has the test keep its machines apart from those of tests that run at the same time, which also remove what is left
// of dead processes.
func cacheOfItsOwn(t *testing.T) string {
	t.Helper()
	shared, err := fleet.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	image, err := fleet.Image(t.Context(), shared)
	if err != nil {
		t.Fatal(err)
	}
	own := t.TempDir()
	if err := os.Symlink(image, filepath.Join(own, filepath.Base(image))); err != nil {
		t.Fatal(err)
	}
	t.Setenv(fleet.EnvCache, own)
	return own
}

// TestVictim is the process to be killed; by itself it does nothing.
func TestVictim(t *testing.T) {
	if os.Getenv(envVictim) == "" {
		t.Skip("is started by TestKilledRunLeavesNothing")
	}
	m := fleet.Start(t, fleet.Options{Name: "victim", Network: fleet.NewNetwork(t)})
	if err := m.Delay(1, 0); err != nil {
		t.Fatal(err)
	}
	fmt.Println("the machine is up")
	_, _, _, err := m.Exec(t.Context(), "sleep", "infinity")
	t.Fatal(err)
}

// machineDirs lists the directories of all machines, those of other runs included.
func machineDirs(t *testing.T, cache string) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(cache, "machines", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// without returns what is in one list and not in the other.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(other, s) })
}

// noProcessIn fails while a process runs in a control group named after a directory.
func noProcessIn(dir string) error {
	name := "/" + filepath.Base(dir) + "/"
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		return err
	}
	for _, path := range groups {
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), name) {
			return fmt.Errorf("%s is in %s", path, name)
		}
	}
	return nil
}

// findGroups returns the control groups of a name.
func findGroups(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == name {
			found = append(found, path)
		}
		return nil // what other processes remove meanwhile is none of ours
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func readMounts(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// readLinks lists the network interfaces, and the namespaces with a name.
func readLinks(t *testing.T) string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"/sys/class/net/*", "/run/netns/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, found...)
	}
	return strings.Join(names, " ")
}
