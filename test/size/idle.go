package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settle is how long an agent is left alone after its first check-in, so that the runtime gives back what it no longer
// needs.
const settle = 15 * time.Second

// showIdle enrols an agent at a `vigo up` with the example policy, over a small root folder, lets it make its first run,
// and prints what it holds while it waits for the next, which is an hour away.
func showIdle(ctx context.Context, dir, ldflags string) (missed int, err error) {
	for _, program := range []string{"vigo", "vigo-agent"} {
		if err := build(ctx, program, filepath.Join(dir, program), "", "", ldflags); err != nil {
			return 0, err
		}
	}
	i := idle{dir: dir}
	defer func() { err = errors.Join(err, i.stop()) }()
	if err := i.serve(ctx); err != nil {
		return 0, err
	}
	pid, err := i.agent(ctx)
	if err != nil {
		return 0, err
	}
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(settle):
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m, err := parseMemory(string(data))
	if err != nil {
		return 0, err
	}
	fmt.Printf("\nidle agent: %.1f MB resident, of it %.1f MB anonymous and %.1f MB of the program file (VmRSS, RssAnon and RssFile of\n"+
		"/proc/PID/status, %s after the first check-in of an agent enrolled at vigo up with policies-example, next run in an hour)\n",
		m["VmRSS"], m["RssAnon"], m["RssFile"], settle)
	return judge(fmt.Sprintf("goal ≤ %d MB", goalIdle), m["VmRSS"] <= goalIdle), nil
}

// parseMemory reads the sizes of proc_pid_status(5), in MB (10⁶ bytes).
func parseMemory(status string) (map[string]float64, error) {
	sizes := map[string]float64{}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		number, ok := strings.CutSuffix(strings.TrimSpace(value), " kB")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the status of a process: %w", err)
		}
		sizes[name] = float64(n<<10) / 1e6
	}
	if sizes["VmRSS"] == 0 {
		return nil, errors.New("reading the status of a process: it says no VmRSS")
	}
	return sizes, nil
}

// idle is a service and an agent that has nothing to do.
type idle struct {
	dir     string
	address string
	started []*exec.Cmd
}

func (i *idle) path(elem ...string) string {
	return filepath.Join(append([]string{i.dir}, elem...)...)
}

// start runs a program in the background, which dies with this one.
func (i *idle) start(name string, argv ...string) (*exec.Cmd, error) {
	out, err := os.Create(i.path(name + ".log"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(i.path(argv[0]), argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	i.started = append(i.started, cmd)
	return cmd, nil
}

func (i *idle) stop() error {
	var errs []error
	for _, cmd := range i.started {
		errs = append(errs, cmd.Process.Signal(syscall.SIGTERM))
	}
	for _, cmd := range i.started {
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// run runs a command to its end and returns what it printed.
func (i *idle) run(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "VIGO_CONFIG="+i.path("data", "operator.json"), "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=size", "GIT_AUTHOR_EMAIL=size@example.com", "GIT_COMMITTER_NAME=size", "GIT_COMMITTER_EMAIL=size@example.com")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// serve starts `vigo up` with the example policy, whose interval becomes an hour.
func (i *idle) serve(ctx context.Context) error {
	policy := i.path("policy")
	if err := os.CopyFS(policy, os.DirFS("policies-example")); err != nil {
		return err
	}
	fleet, err := os.ReadFile(filepath.Join(policy, "fleet.yaml"))
	if err != nil {
		return err
	}
	slow := strings.Replace(string(fleet), "interval: 30s", "interval: 1h", 1)
	if slow == string(fleet) {
		return errors.New("the example policy does not say interval: 30s")
	}
	if err := os.WriteFile(filepath.Join(policy, "fleet.yaml"), []byte(slow), 0o644); err != nil {
		return err
	}
	for _, argv := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "The policy of Acme"}} {
		if _, err := i.run(ctx, append([]string{"git", "-C", policy}, argv...)...); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // to learn of a free port
	if err != nil {
		return err
	}
	i.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	if _, err := i.start("up", "vigo", "up", "--data", i.path("data"), "--git", policy, "--listen", i.address); err != nil {
		return err
	}
	return i.await(ctx, "a published pointer", func(s status) bool { return len(s.Channels) > 0 && s.Channels[0].Pointer != "" })
}

// agent enrols an agent of a small root folder and waits until its first run is reported.
func (i *idle) agent(ctx context.Context) (pid int, err error) {
	root := i.path("root")
	if err := unpack("test/demo/root.txtar", root); err != nil {
		return 0, err
	}
	token, err := i.run(ctx, i.path("vigo"), "token", "create", "--label", "environment=production")
	if err != nil {
		return 0, err
	}
	if _, err := i.run(ctx, i.path("vigo-agent"), "--root", root, "enroll", "--server", "https://"+i.address, "--token", strings.TrimSpace(token), "--node", "kiosk-1"); err != nil {
		return 0, err
	}
	cmd, err := i.start("agent", "vigo-agent", "--root", root, "run")
	if err != nil {
		return 0, err
	}
	return cmd.Process.Pid, i.await(ctx, "the first run", func(s status) bool {
		return s.Presences.Live == 1 && s.Compliance.Never == 0 && s.Channels[0].Current == 1
	})
}

// status is the part of `vigo status -o json` that is looked at.
type status struct {
	Presences  struct{ Live int }
	Compliance struct{ Never int }
	Channels   []struct {
		Pointer string
		Current int
	}
}

func (i *idle) await(ctx context.Context, what string, wanted func(status) bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		var s status
		// `vigo status` ends with another code than 0 when a node wants attention, so only what it says counts.
		out, err := i.run(ctx, i.path("vigo"), "status", "-o", "json")
		if out != "" {
			err = json.Unmarshal([]byte(out), &s)
		}
		if err == nil && wanted(s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}
