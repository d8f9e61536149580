package programs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Hosts are agents that have a host of their own each: a folder that they take for its root.
type Hosts struct {
	Dir     string                              // their folders are here
	Command func(arguments ...string) *exec.Cmd // of vigo-agent, where the agents are to run
	Names   []string
	Agents  map[string]*Process // those that were started
}

// NewHosts makes a place for them.
func NewHosts(dir string, command func(...string) *exec.Cmd) *Hosts {
	return &Hosts{Dir: dir, Command: command, Agents: map[string]*Process{}}
}

// Enrol makes n more of them, at a service or a hub, with a token that is good for as many.
func (h *Hosts) Enrol(t testing.TB, server, token string, n int) {
	t.Helper()
	for range n {
		name := fmt.Sprintf("node-%02d", len(h.Names))
		root := filepath.Join(h.Dir, name)
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := h.Command("--root", root, "enroll", "--server", "https://"+server, "--token", token, "--node", name).CombinedOutput(); err != nil {
			t.Fatalf("enrolling %s: %v\n%s", name, err, out)
		}
		h.Names = append(h.Names, name)
	}
}

// Agent is the command that runs the agent of a host.
func (h *Hosts) Agent(name string) *exec.Cmd {
	return h.Command("--root", filepath.Join(h.Dir, name), "run")
}

// Run starts the agent of a host; it ends with the test.
func (h *Hosts) Run(t testing.TB, name string) {
	t.Helper()
	h.Agents[name] = Start(t, h.Agent(name))
}

// Kill ends the agent of a host without a word.
func (h *Hosts) Kill(name string) { h.Agents[name].End(syscall.SIGKILL) }

// Read is the content of a file of a host, without white space around it; nothing when it is not there.
func (h *Hosts) Read(t testing.TB, name, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(h.Dir, name, file))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	return strings.TrimSpace(string(data))
}

// Having are the hosts on which a file has a content.
func (h *Hosts) Having(t testing.TB, file, text string) (names []string) {
	t.Helper()
	for _, name := range h.Names {
		if h.Read(t, name, file) == text {
			names = append(names, name)
		}
	}
	return names
}
