//go:build linux

package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// VMOptions says what virtual machine to start.
type VMOptions struct {
	Name      string   // its host name; default: "machine"
	Arguments []string // of its kernel, more than it needs to boot
}

// VM is a running Debian with a kernel of its own: for what a [Machine] cannot do, since that is a container. It has two
// empty disks, /dev/ubdb and /dev/ubdc, and no network. What it writes is gone with it, but outlives its reboots.
type VM struct {
	Console

	dir  *workdir
	proc *process
	free chan *line // lines nothing runs on
}

// StartVM boots a virtual machine and waits until systemd has started everything. It is gone at the end of the test; if
// that failed, its console and journal are logged.
func StartVM(t testing.TB, o VMOptions) *VM {
	t.Helper()
	Require(t)
	cache, err := CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	image, err := KernelImage(t.Context(), cache)
	if err != nil {
		t.Fatal(err)
	}
	v := &VM{free: make(chan *line, lines)}
	v.Console = Console{hostname: cmp.Or(o.Name, "machine"), run: v.run}
	t.Cleanup(func() { v.tearDown(t) })
	if err := v.boot(t.Context(), cache, image, o); err != nil {
		t.Fatalf("booting machine %s: %v\n%s", v.hostname, err, tail(v.Log(), 20))
	}
	return v
}

// boot starts the kernel and waits until the machine is up.
func (v *VM) boot(ctx context.Context, cache, image string, o VMOptions) error {
	var err error
	if v.dir, err = newWorkdir(ctx, cache, image, ""); err != nil {
		return err
	}
	var ends []*line
	if v.proc, ends, err = startKernel(v.dir, image, o.Arguments); err != nil {
		return err
	}
	for _, l := range ends {
		go l.listen()
		v.free <- l
	}
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := v.waitUp(ctx, ""); err != nil {
		return err
	}
	_, stderr, code, err := v.Exec(ctx, "hostname", v.hostname)
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(stderr))
	}
	return err
}

// Reboot reboots the machine in order, as its own systemd does it, and waits until it is up again.
func (v *VM) Reboot(ctx context.Context) error {
	before, err := v.BootID(ctx)
	if err != nil {
		return err
	}
	// The machine may be gone before the command has ended: only the next boot says that it worked.
	_, stderr, code, err := v.Exec(ctx, "systemctl", "reboot")
	if err == nil && code == 1 && stderr != "" {
		return fmt.Errorf("rebooting machine %s: %s", v.hostname, strings.TrimSpace(stderr))
	}
	return v.WaitReboot(ctx, before)
}

// WaitReboot waits until the machine is up in another boot than the given one: for a reboot something on the machine
// decided on.
func (v *VM) WaitReboot(ctx context.Context, before string) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	if err := v.waitUp(ctx, before); err != nil {
		return fmt.Errorf("rebooting machine %s: %w\n%s", v.hostname, err, tail(v.Log(), 20))
	}
	return nil
}

// waitUp is [Console.waitUp] for as long as the machine runs, and for all lines.
func (v *VM) waitUp(ctx context.Context, notBoot string) error {
	alive := func() error {
		select {
		case <-v.proc.done:
			return errDown
		default:
			return nil
		}
	}
	for range lines { // they are used in turn
		if err := v.Console.waitUp(ctx, notBoot, v.systemdUp, alive); err != nil {
			return err
		}
	}
	return nil
}

// Log returns what the console of the machine showed, over all its boots.
func (v *VM) Log() string {
	if v.dir == nil {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(v.dir.path, consoleFile))
	if err != nil {
		return err.Error()
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// tearDown removes all of the machine.
func (v *VM) tearDown(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if t.Failed() {
		t.Logf("console of machine %s:\n%s", v.hostname, tail(v.Log(), 60))
		if v.proc != nil {
			t.Logf("journal of machine %s:\n%s", v.hostname, v.Journal(ctx, 100))
		}
	}
	var errs []error
	if v.proc != nil {
		errs = append(errs, v.dir.group.kill())
		<-v.proc.done
	}
	for range len(v.free) {
		errs = append(errs, (<-v.free).conn.Close())
	}
	if v.dir != nil {
		errs = append(errs, v.dir.close(ctx))
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("removing machine %s: %v", v.hostname, err)
	}
}
