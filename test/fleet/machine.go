//go:build linux

package fleet

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Options says what machine to start. The zero value is a machine alone, with a network of its own that has nobody else.
type Options struct {
	Name    string            // its host name; default: "machine"
	Network *Network          // where its eth0 leads; nil: it has none
	Files   map[string]string // content by path, in place before it boots, mode 0644
	Like    *Machine          // one that was stopped and stays so: the disk begins as its disk is
	Init    string            // its init system: openrc, runit or sysv; default: systemd
}

// bootTimeout is for a machine that takes seconds.
const bootTimeout = 2 * time.Minute

// Machine is a running Debian. Its methods may be called from several goroutines.
type Machine struct {
	Console
	*port // of its network; the methods that concern the link need one

	dir  *workdir
	ns   *netns
	init string // of the options

	mu    sync.Mutex
	box   *container    // nil: it is off
	off   chan struct{} // closed when it is off
	cut   bool          // it must not come back by itself
	fault error         // why it could not be started again
}

// Start boots a machine and waits until its init system has started everything. The machine is gone at the end of the test; if
// that failed, its console and journal are logged.
func Start(t testing.TB, o Options) *Machine {
	t.Helper()
	return StartAll(t, o)[0]
}

// StartAll is [Start] for several machines, which boot at the same time.
func StartAll(t testing.TB, options ...Options) []*Machine {
	t.Helper()
	Require(t)
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	image, err := Image(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	machines := make([]*Machine, len(options))
	errs := make([]error, len(options))
	var wg sync.WaitGroup
	for i, o := range options {
		m := &Machine{port: &port{}, init: o.Init}
		m.Console = Console{hostname: cmp.Or(o.Name, "machine"), run: m.run}
		machines[i] = m
		t.Cleanup(func() { m.tearDown(t) })
		// One after the other, for the addresses to be in order.
		if err := m.build(t.Context(), cache, image, o); err != nil {
			t.Fatalf("building machine %s: %v", m.hostname, err)
		}
		wg.Go(func() { errs[i] = m.Boot(t.Context()) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return machines
}

// build makes disk and network of the machine.
func (m *Machine) build(ctx context.Context, cache, image string, o Options) error {
	var err error
	if m.ns, err = newNetns(); err != nil {
		return err
	}
	hosts := "127.0.0.1\tlocalhost\n127.0.1.1\t" + m.hostname + "\n"
	if o.Network != nil {
		if m.port, err = o.Network.attach(m.ns, netip.Addr{}); err != nil {
			return err
		}
		host := o.Network.Host().Addr().String()
		hosts += host + "\t" + HostName + "\n"
		// As on most machines. It leads to the host, which leads nowhere.
		if err := m.ns.ip("route", "add", "default", "via", host); err != nil {
			return err
		}
	}
	layer := ""
	if o.Like != nil {
		if o.Like.current() != nil {
			return fmt.Errorf("machine %s runs: stop it for another to be like it", o.Like.hostname)
		}
		layer = filepath.Join(o.Like.dir.path, upperDir)
	}
	if o.Init != "" {
		if layer != "" {
			return errors.New("a machine is like another, or has an init system of its own")
		}
		if layer, err = layerOf(ctx, cache, image, o.Init); err != nil {
			return err
		}
	}
	if m.dir, err = newWorkdir(ctx, cache, image, layer); err != nil {
		return err
	}
	var id [16]byte
	_, _ = rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	files := map[string]string{
		"/etc/hostname":   m.hostname + "\n",
		"/etc/hosts":      hosts,
		"/etc/machine-id": hex.EncodeToString(id[:]) + "\n",
	}
	for path, text := range o.Files {
		files[path] = text
	}
	return m.layFiles(image, files)
}

// layFiles puts files on the disk before the first boot. Directories the image has keep their mode and owner.
func (m *Machine) layFiles(image string, files map[string]string) error {
	root := filepath.Join(m.dir.path, upperDir)
	for path, text := range files {
		parent := ""
		for _, part := range strings.Split(strings.Trim(filepath.Dir(filepath.Clean(path)), "/"), "/") {
			parent = filepath.Join(parent, part)
			if err := copyDir(filepath.Join(image, parent), filepath.Join(root, parent)); err != nil {
				return fmt.Errorf("making /%s: %w", parent, err)
			}
		}
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// copyDir makes a directory like another, if it is missing.
func copyDir(like, path string) error {
	mode, uid, gid := uint32(0o755), 0, 0
	var st unix.Stat_t
	switch err := unix.Lstat(like, &st); {
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return errors.New("not a directory")
	case err == nil:
		mode, uid, gid = st.Mode&0o7777, int(st.Uid), int(st.Gid)
	case !errors.Is(err, unix.ENOENT):
		return err
	}
	if err := unix.Mkdir(path, mode); err != nil {
		if errors.Is(err, unix.EEXIST) {
			return nil
		}
		return err
	}
	return errors.Join(unix.Chmod(path, mode), unix.Lchown(path, uid, gid))
}

// current returns what runs the machine now, or nil.
func (m *Machine) current() *container {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.box
}

// Log returns what the console of the machine showed, over all its boots.
func (m *Machine) Log() string {
	if m.dir == nil {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(m.dir.path, consoleFile))
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// tearDown removes all of the machine.
func (m *Machine) tearDown(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if t.Failed() {
		t.Logf("console of machine %s:\n%s", m.hostname, tail(m.Log(), 60))
		if m.init == "" {
			t.Logf("journal of machine %s:\n%s", m.hostname, m.Journal(ctx, 100))
		}
	}
	errs := []error{m.PowerCut(), m.whyOff()}
	if m.dir != nil {
		errs = append(errs, m.dir.close(ctx))
	}
	if m.ns != nil {
		errs = append(errs, m.ns.close())
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("removing machine %s: %v", m.hostname, err)
	}
}
