//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is for what a machine gives no event for.
const pollInterval = 50 * time.Millisecond

// Boot starts a machine that is off, from the disk as it is, and waits until its init system has started everything.
func (m *Machine) Boot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	m.mu.Lock()
	if m.box != nil {
		m.mu.Unlock()
		return fmt.Errorf("booting machine %s: it is on", m.hostname)
	}
	box, err := startContainer(m.dir, m.hostname, m.ns, m.init == "")
	if err == nil {
		m.box, m.off, m.cut = box, make(chan struct{}), false
		go m.supervise(box, m.off)
	}
	m.mu.Unlock()
	if err == nil {
		err = m.waitUp(ctx, "")
	}
	if err != nil {
		return fmt.Errorf("booting machine %s: %w\n%s", m.hostname, err, tail(m.Log(), 20))
	}
	return nil
}

// supervise starts the machine again whenever it has asked to be rebooted, and notes when it is off.
func (m *Machine) supervise(box *container, off chan struct{}) {
	defer close(off)
	for box != nil {
		<-box.done
		// What the machine left running has no machine any more, and a control group with groups inside takes no process.
		err := m.dir.group.remove()
		if err == nil {
			err = m.dir.group.create()
		}
		m.mu.Lock()
		reboot := box.code == exitReboot && !m.cut
		box = nil
		if err == nil && reboot {
			if box, err = startContainer(m.dir, m.hostname, m.ns, m.init == ""); err != nil {
				box = nil
			}
		}
		m.box, m.fault = box, err
		m.mu.Unlock()
	}
}

// whyOff returns why the machine could not be started again, if that is why it is off.
func (m *Machine) whyOff() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fault
}

// waitUp is [Console.waitUp] for as long as the machine is on.
func (m *Machine) waitUp(ctx context.Context, notBoot string) error {
	started := m.systemdUp
	if m.init != "" {
		started = m.bootedByScripts
	}
	return m.Console.waitUp(ctx, notBoot, started, func() error {
		if m.current() == nil {
			return errors.Join(errDown, m.whyOff())
		}
		return nil
	})
}

// goDown is the command that reboots the machine or shuts it down in order.
func (m *Machine) goDown(verb string) []string {
	switch {
	case m.init == "":
		return []string{"systemctl", verb}
	case verb == "reboot":
		return []string{"shutdown", "-r", "now"}
	}
	return []string{"shutdown", "-h", "now"}
}

// Reboot reboots the machine in order, as its own init system does it, and waits until it is up again.
func (m *Machine) Reboot(ctx context.Context) error {
	before, err := m.BootID(ctx)
	if err != nil {
		return err
	}
	// The machine may be gone before the command has ended: only the next boot says that it worked.
	_, stderr, code, err := m.Exec(ctx, m.goDown("reboot")...)
	if err == nil && code == 1 && stderr != "" {
		return fmt.Errorf("rebooting machine %s: %s", m.hostname, strings.TrimSpace(stderr))
	}
	return m.WaitReboot(ctx, before)
}

// WaitReboot waits until the machine is up in another boot than the given one: for a reboot something on the machine
// decided on.
func (m *Machine) WaitReboot(ctx context.Context, before string) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := m.waitUp(ctx, before); err != nil {
		return fmt.Errorf("rebooting machine %s: %w\n%s", m.hostname, err, tail(m.Log(), 20))
	}
	return nil
}

// Stop shuts the machine down in order. [Machine.Boot] starts it again.
func (m *Machine) Stop(ctx context.Context) error {
	m.mu.Lock()
	box, off := m.box, m.off
	m.cut = true
	m.mu.Unlock()
	if box == nil {
		return nil
	}
	// The machine may be gone before the command has ended.
	_, stderr, code, err := m.Exec(ctx, m.goDown("poweroff")...)
	if err == nil && code == 1 && stderr != "" {
		return fmt.Errorf("stopping machine %s: %s", m.hostname, strings.TrimSpace(stderr))
	}
	select {
	case <-off:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stopping machine %s: %w", m.hostname, context.Cause(ctx))
	}
}

// PowerCut ends the machine at once, as when its plug is pulled: no process of it gets to do anything. What it wrote but
// did not sync is kept all the same, for it is the memory of this computer that holds it. [Machine.Boot] starts it
// again.
func (m *Machine) PowerCut() error {
	m.mu.Lock()
	box, off := m.box, m.off
	m.cut = true
	m.mu.Unlock()
	if box == nil {
		return nil
	}
	// No group: it ended by itself a moment ago.
	if err := m.dir.group.kill(); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("cutting the power of machine %s: %w", m.hostname, err)
	}
	<-off
	return nil
}
