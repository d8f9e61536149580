//go:build linux

package machine

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/lvm"
)

// Options says what machine to work on.
type Options struct {
	// Root is the folder that is the machine's "/"; empty: "/" itself.
	Root string
	// Log takes what an operator should hear about; nothing is logged if nil.
	Log *slog.Logger
	// Now is the clock; required.
	Now func() time.Time
	// Rehash is how long the digest of a file whose times and size did not change is trusted before its content is
	// read again. One hour if 0; less than 0: no digest is kept, since there is only one run.
	Rehash time.Duration
	// Grace is how long a program has between TERM and KILL. Five seconds if 0.
	Grace time.Duration
}

// A Machine is a real machine, or a root folder. It keeps what is worth keeping from run to run: digests of files, the
// parsed package database, the connection to the init system. It is safe for use by several goroutines.
type Machine struct {
	log      *slog.Logger
	now      func() time.Time
	tree     *tree
	digests  *digests
	runner   *runner
	packages *packageCache
	bus      *bus
	usages   *usages
}

// New opens a machine; the caller closes it.
func New(o Options) (*Machine, error) {
	if o.Now == nil {
		return nil, errors.New("opening machine: no clock given")
	}
	if o.Root == "" {
		o.Root = "/"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Rehash == 0 {
		o.Rehash = time.Hour
	}
	if o.Grace == 0 {
		o.Grace = 5 * time.Second
	}
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, fmt.Errorf("opening machine: %w", err)
	}
	t, err := openTree(root)
	if err != nil {
		return nil, fmt.Errorf("opening machine: root folder: %w", err)
	}
	m := &Machine{
		log:      o.Log,
		now:      o.Now,
		tree:     t,
		digests:  newDigests(o.Now, o.Rehash),
		packages: &packageCache{},
		bus:      &bus{},
		usages:   &usages{},
	}
	m.runner = &runner{tree: t, now: o.Now, grace: o.Grace}
	return m, nil
}

// Host returns a fresh view of the machine for one run. What it reads as a whole (package database, accounts) it
// reads at most once, and again after a change through the same view.
func (m *Machine) Host() *host.Host {
	fsys := &files{tree: m.tree, digests: m.digests, now: m.now}
	units := newServices(m, fsys)
	var services host.Services = units
	if !units.live {
		if other, err := otherInit(fsys, m.runner, m.tree.live()); err != nil {
			m.log.Warn("taking the machine for one of systemd", "err", err)
		} else if other != nil {
			services = other
		}
	}
	pkgs := newPackages(m, fsys)
	return &host.Host{
		FS:        fsys,
		Run:       m.runner,
		Packages:  pkgs,
		Upgrades:  pkgs,
		Services:  services,
		Units:     units,
		Processes: &processes{fs: fsys},
		Accounts:  newAccounts(m, fsys),
		Mounts:    &mounts{fs: fsys, run: m.runner, usages: m.usages},
		Kernel:    &kernel{fs: fsys},
		Fetch:     newFetcher(),
		Firewall:  &firewall{m: m},
		Zones:     zones{live: m.tree.live()},
		Clock:     machineClock(m.now),
		Extended:  &extended{tree: m.tree},
		Below:     &below{tree: m.tree},
		Devices:   &devices{tree: m.tree},
		API:       &api{tree: m.tree},
		Volumes:   lvm.New(m.runner),
		Turns:     host.AnyTime{},
		Quotas:    &quotas{tree: m.tree, mounts: &mounts{fs: fsys, run: m.runner}},
	}
}

// Close ends the connection to the init system and lets go of the root folder.
func (m *Machine) Close() error {
	return errors.Join(m.bus.close(), m.tree.close())
}

// machineClock is host.Clock.
type machineClock func() time.Time

// Now implements [host.Clock].
func (c machineClock) Now() time.Time { return c() }

// refuse says that something cannot be done in another root folder than "/".
func refuse(doing string) error {
	return fmt.Errorf("%s: this is a root folder, not a running machine: %w", doing, errors.ErrUnsupported)
}
