package peers

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vigo.dev/test/programs"
)

// A file system that does not answer held up the facts of Ansible and Facter, and with them the run (ansible#48312, #25046,
// openfact#46, node_exporter#2108, sysinfo#842). Here one is mounted that nobody serves: whoever asks it waits for ever.
func TestBug07AStaleMountHoldsUpTheRun(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can mount; the gate runs this test as root")
	}
	s := programs.NewSite(t, "  - file: $D/file\n    content: \"{{ .os.family }}\"\n")
	stale := t.TempDir()
	agent := func(args ...string) []byte {
		fuse, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("this kernel cannot mount what nobody serves: it has no FUSE")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer fuse.Close() // lets go whoever waits
		cmd := programs.Command(t, nil, "vigo-agent", args...)
		// The mount is seen by this agent alone, and is gone with it.
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args = append([]string{self, cmd.Path}, cmd.Args[1:]...)
		cmd.Path = self
		cmd.Env = append(cmd.Env, staleMount+"="+stale)
		cmd.ExtraFiles = []*os.File{fuse}
		cmd.SysProcAttr.Unshareflags = unix.CLONE_NEWNS
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, &stderr)
		}
		return out
	}
	var traits struct {
		Mounts map[string]any `json:"mounts"`
		OS     map[string]any `json:"os"`
	}
	if err := json.Unmarshal(agent("traits", "-o", "json"), &traits); err != nil {
		t.Fatal(err)
	}
	if traits.Mounts[stale] == nil || traits.OS["family"] == nil {
		t.Errorf("the mount is not there, or the traits are not: %v", traits)
	}
	agent("apply", "--policy", s.Policy, "--state", s.State)
	if s.Read("file") == "" {
		t.Error("nothing was converged")
	}
}

// Puppet and its kin take the file with a process number for a lock: it stays behind, or two runs cut short each other's
// (puppet#1158, #1167, #7555, pxp-agent#751, r10k#1441).
func TestBug09AStaleOrRacedLock(t *testing.T) {
	t.Parallel()
	s := programs.NewSite(t, `  - exec: gate
    command: [sh, -c, "echo reached > $D/reached; cat $D/never"]
    unless: [test, "!", -e, "$D/never"]
`)
	for _, name := range []string{"reached", "never"} {
		if err := unix.Mkfifo(filepath.Join(s.Dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := s.Command()
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(filepath.Join(s.Dir, "reached")); err != nil { // waits until it is in the middle
		t.Fatal(err)
	}
	said, code := programs.Refused(t, s.Command())
	if code != 1 || !strings.Contains(said, "another agent holds the lock") {
		t.Errorf("the second run: exit status %d, %s", code, said)
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // it was killed
	never, err := os.OpenFile(filepath.Join(s.Dir, "never"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(never.Name()), never.Close()); err != nil { // who reads it is at its end, and does not stay behind
		t.Fatal(err)
	}
	if run := s.Apply(); !run.Quiet() {
		t.Errorf("the run after the one that was killed: %+v", run)
	}
}

// Facter fills the log with what it was not allowed to read.
func TestBug19WhatCannotBeReadFillsTheLog(t *testing.T) {
	t.Parallel()
	cmd := programs.Command(t, nil, "vigo-agent", "traits", "-o", "json")
	if os.Getuid() == 0 { // by a descriptor: the folder of the program may be for root alone
		program, err := os.Open(cmd.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		cmd.Path, cmd.ExtraFiles = "/proc/self/fd/3", []*os.File{program}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	var traits map[string]any
	if err := json.Unmarshal(out, &traits); err != nil {
		t.Fatal(err)
	}
	if len(traits) < 15 || traits["os"] == nil {
		t.Errorf("only %d traits are known", len(traits))
	}
	if n := strings.Count(stderr.String(), "\n"); n > 3 {
		t.Errorf("it complains in %d lines:\n%s", n, &stderr)
	}
}
