//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Console is what a test does on a machine, whatever the machine is: it runs commands as root, and puts files there. Its
// methods may be called from several goroutines.
type Console struct {
	hostname string
	run      func(ctx context.Context, stdin io.Reader, argv []string) (stdout, stderr string, code int, err error)
}

// Name returns the host name.
func (c *Console) Name() string { return c.hostname }

// Exec runs a command on the machine as root, without a shell, and waits for it. The exit code is that of the command,
// 127 when it does not exist, 128 more than the signal that killed it; err tells that it could not be run or that ctx
// ended first, which kills it.
func (c *Console) Exec(ctx context.Context, argv ...string) (stdout, stderr string, code int, err error) {
	return c.ExecInput(ctx, nil, argv...)
}

// ExecInput is [Console.Exec] with something to read.
func (c *Console) ExecInput(ctx context.Context, stdin io.Reader, argv ...string) (stdout, stderr string, code int, err error) {
	if len(argv) == 0 {
		return "", "", -1, fmt.Errorf("running on machine %s: no command", c.hostname)
	}
	stdout, stderr, code, err = c.run(ctx, stdin, argv)
	if err != nil {
		return stdout, stderr, -1, fmt.Errorf("running %s on machine %s: %w", argv[0], c.hostname, err)
	}
	return stdout, stderr, code, nil
}

// MustExec is [Console.Exec] for a command that must succeed: it returns what the command prints, and fails the test
// with all it said when its exit code is not 0.
func (c *Console) MustExec(t testing.TB, argv ...string) string {
	t.Helper()
	stdout, stderr, code, err := c.Exec(t.Context(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 {
		t.Fatalf("%s: %s: exit code %d\n%s%s", c.hostname, strings.Join(argv, " "), code, stdout, stderr)
	}
	return stdout
}

// WriteFile writes a file on the machine, with the directories it needs. A file that is there is replaced, not
// rewritten: a program may be running from it.
func (c *Console) WriteFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	if err := c.put(t.Context(), strings.NewReader(text), path, mode); err != nil {
		t.Fatal(err)
	}
}

// CopyIn is [Console.WriteFile] with the content of a file of this computer.
func (c *Console) CopyIn(t testing.TB, hostPath, path string, mode os.FileMode) {
	t.Helper()
	f, err := os.Open(hostPath)
	if err != nil {
		t.Fatalf("copying to machine %s: %v", c.hostname, err)
	}
	defer f.Close()
	if err := c.put(t.Context(), f, path, mode); err != nil {
		t.Fatal(err)
	}
}

// put writes a file on the machine.
func (c *Console) put(ctx context.Context, content io.Reader, path string, mode os.FileMode) error {
	temp := path + ".fleet-tmp"
	const script = `mkdir -p "$1" && cat >"$2" && chmod "$4" "$2" && mv -fT "$2" "$3"`
	_, stderr, code, err := c.ExecInput(ctx, content, "/bin/sh", "-c", script, "sh", filepath.Dir(path), temp, path, fmt.Sprintf("%o", mode.Perm()))
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(stderr))
	}
	if err != nil {
		return fmt.Errorf("writing %s on machine %s: %w", path, c.hostname, err)
	}
	return nil
}

// ReadFile returns a file of the machine; the test fails when it cannot be read.
func (c *Console) ReadFile(t testing.TB, path string) string {
	t.Helper()
	return c.MustExec(t, "cat", "--", path)
}

// BootID returns the id of the present boot.
func (c *Console) BootID(ctx context.Context) (string, error) {
	id, stderr, code, err := c.Exec(ctx, "cat", "/proc/sys/kernel/random/boot_id")
	if err == nil && code != 0 {
		err = errors.New(strings.TrimSpace(stderr))
	}
	if err != nil {
		return "", fmt.Errorf("reading the boot id of machine %s: %w", c.hostname, err)
	}
	return strings.TrimSpace(id), nil
}

// Journal returns the last lines of the system journal, of the present boot; what is wrong if it cannot be read.
func (c *Console) Journal(ctx context.Context, lines int) string {
	out, stderr, code, err := c.Exec(ctx, "journalctl", "--boot", "--no-pager", "--lines", fmt.Sprint(lines))
	if err != nil {
		return err.Error()
	}
	if code != 0 {
		return stderr
	}
	return out
}

// waitUp waits until the init system has started everything; with the id of a boot, until that of another boot has. It ends early
// with the error that alive has.
func (c *Console) waitUp(ctx context.Context, notBoot string, started func(context.Context) error, alive func() error) error {
	return WaitFor(ctx, pollInterval, func(ctx context.Context) error {
		if err := alive(); err != nil {
			return errors.Join(ErrFinal, err)
		}
		if notBoot != "" {
			id, err := c.BootID(ctx)
			if err != nil {
				return err
			}
			if id == notBoot {
				return errors.New("it has not gone down yet")
			}
		}
		return started(ctx)
	})
}

// systemdUp waits until systemd has started everything.
func (c *Console) systemdUp(ctx context.Context) error {
	state, stderr, _, err := c.Exec(ctx, "systemctl", "is-system-running", "--wait")
	if err != nil {
		return err
	}
	if state = strings.TrimSpace(state); state != "running" && state != "degraded" {
		return fmt.Errorf("the system is %q: %s", state, strings.TrimSpace(stderr))
	}
	return nil
}
