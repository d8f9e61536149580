// Package hosttest is a machine in memory: read from text, changed through the interfaces of package host like a real
// one, and printed back as text.
//
// It refuses to be an operating system: there is only what the text says, a program that the text does not script
// cannot be run, and nothing ever reaches the machine it runs on. The text is described at [Parse].
package hosttest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/lvm"
)

// A Machine is the state of one machine in memory. It is safe for use by several goroutines.
type Machine struct {
	mu         sync.Mutex
	log        []string
	nodes      map[string]*node // by clean absolute path
	users      map[string]*host.User
	groups     map[string]*group
	packages   map[string]*host.Package
	candidates map[string]*candidate
	unneeded   map[string]bool // packages that no other needs any more
	services   map[string]*service
	sysctls    map[string]string
	hostname   string
	interfaces []host.Interface
	mounts     []*mount
	quotas     []*keptQuotas
	usages     map[string]host.Usage
	commands   []*script
	programs   map[string]string
	urls       map[string]string
	cuts       map[string]int    // after so many bytes of a URL its connection breaks
	tables     map[string]string // fingerprints, by family and name
	now        time.Time
	fetched    time.Time        // package lists; zero: now
	failures   map[string]error // by "word" or "word target"
	stale      map[string]bool  // units whose files are newer than what systemd read
	processes  []*process
	engine     engine
	cluster    cluster
}

func newMachine() *Machine {
	m := &Machine{
		nodes:      map[string]*node{},
		users:      map[string]*host.User{},
		groups:     map[string]*group{},
		packages:   map[string]*host.Package{},
		candidates: map[string]*candidate{},
		unneeded:   map[string]bool{},
		services:   map[string]*service{},
		sysctls:    map[string]string{},
		usages:     map[string]host.Usage{},
		programs:   map[string]string{},
		urls:       map[string]string{},
		cuts:       map[string]int{},
		tables:     map[string]string{},
		now:        time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		failures:   map[string]error{},
		stale:      map[string]bool{},
	}
	m.nodes["/"] = &node{kind: host.Dir, mode: 0o755, implied: true}
	m.users["root"] = &host.User{Name: "root", Comment: "root", Home: "/root", Shell: "/bin/bash"}
	m.groups["root"] = &group{}
	return m
}

// Host returns a view of the machine for one run.
func (m *Machine) Host() *host.Host {
	return &host.Host{
		FS: files{m}, Run: runner{m}, Packages: packages{m}, Upgrades: packages{m}, Services: services{m},
		Accounts: accounts{m}, Mounts: mounts{m}, Kernel: kernel{m}, Fetch: fetcher{m}, Firewall: firewall{m}, Zones: zones{m}, Clock: clock{m},
		Units: &units{m: m}, Processes: processes{m}, Extended: extended{m}, Below: below{m},
		Devices: devices{m}, API: api{m}, Volumes: lvm.New(runner{m}), Quotas: quotas{m}, Turns: turns{m},
	}
}

// Writes returns how many changes were asked of the machine, also those that failed. Running a program counts, unless
// its script says that it only reads.
func (m *Machine) Writes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.log)
}

// Log returns what was asked of the machine, one line for each write, such as `restart nginx` or
// `run ["systemctl","daemon-reload"]`.
func (m *Machine) Log() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.log...)
}

// wrote records a write; the caller holds the lock.
func (m *Machine) wrote(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf(format, args...))
}

// failure returns the error the text asks for: of the word alone, or of the word and the target.
func (m *Machine) failure(word, target string) error {
	if err, ok := m.failures[word+" "+target]; ok {
		return err
	}
	return m.failures[word]
}

// failureOf makes the error of a fail line; busy, unsupported and not-found stand for the sentinels.
func failureOf(text string) error {
	switch text {
	case "busy":
		return host.ErrBusy
	case "unsupported":
		return errors.ErrUnsupported
	case "not-found":
		return host.ErrNotFound
	}
	return errors.New(strings.TrimSpace(text))
}

func notFound(what, name string) error {
	return fmt.Errorf("%s %s: %w", what, name, host.ErrNotFound)
}
