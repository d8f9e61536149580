//go:build linux

package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/host"
)

const (
	searchPath         = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	defaultOutputLimit = 64 << 10
	// drain is how long output is still read after a program has exited and left children with its pipes.
	drain = 2 * time.Second
)

// runner is host.Runner: the only place that starts programs.
type runner struct {
	tree  *tree
	now   func() time.Time
	grace time.Duration
}

var _ host.Runner = (*runner)(nil)

type candidateKey struct{}

// validating marks ctx as that of a check of one file: a program that is given the name of the file may then run for
// another root folder too, with the name translated.
func (f *files) validating(ctx context.Context, candidate string) context.Context {
	return context.WithValue(ctx, candidateKey{}, candidate)
}

// Find implements [host.Runner].
func (r *runner) Find(name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, r.executable(name)
	}
	for dir := range strings.SplitSeq(searchPath, ":") {
		full := path.Join(dir, name)
		err := r.executable(full)
		if err == nil || !errors.Is(err, host.ErrNotFound) {
			return full, err
		}
	}
	return "", fmt.Errorf("finding program %s: %w", name, host.ErrNotFound)
}

func (r *runner) executable(name string) error {
	fd, err := r.tree.open(name, unix.O_PATH)
	if errors.Is(err, unix.EACCES) {
		err = unix.ENOENT // a folder on the search path that one may not enter
	}
	if err != nil {
		return failed("finding program", name, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return failed("finding program", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return failed("finding program", name, unix.ENOENT)
	}
	return nil
}

// Run implements [host.Runner].
func (r *runner) Run(ctx context.Context, c host.Command) (host.Result, error) {
	if len(c.Argv) == 0 {
		return host.Result{}, errors.New("running nothing: no program given")
	}
	argv := c.Argv
	if !r.tree.live() {
		candidate, ok := ctx.Value(candidateKey{}).(string)
		if !ok {
			return host.Result{}, refuse("running " + c.Argv[0])
		}
		argv = make([]string, len(c.Argv))
		for i, arg := range c.Argv {
			argv[i] = strings.ReplaceAll(arg, candidate, r.tree.real(candidate))
		}
	}
	cmd, err := r.command(argv, c)
	if err != nil {
		return host.Result{}, fmt.Errorf("running %s: %w", c.Argv[0], err)
	}
	res, err := r.run(ctx, cmd, c)
	if err != nil {
		return res, fmt.Errorf("running %s: %w", c.Argv[0], err)
	}
	return res, nil
}

func (r *runner) command(argv []string, c host.Command) (*exec.Cmd, error) {
	file := argv[0]
	if !strings.Contains(file, "/") {
		onPath := &runner{tree: &tree{root: "/", fd: -1}}
		found, err := onPath.Find(file)
		if err != nil {
			return nil, err
		}
		file = found
	}
	home := "/root"
	attr := &syscall.SysProcAttr{Setpgid: true}
	if c.User != "" {
		who, err := credential(c.User)
		if err != nil {
			return nil, err
		}
		home = who.home
		if who.cred.Uid != uint32(os.Geteuid()) {
			attr.Credential = who.cred
		}
	}
	cmd := &exec.Cmd{Path: file, Args: argv, Dir: c.Dir, Stdin: c.Stdin, SysProcAttr: attr, WaitDelay: drain}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	cmd.Env = append([]string{"PATH=" + searchPath, "LANG=C.UTF-8", "HOME=" + home}, c.Env...)
	return cmd, nil
}

func (r *runner) run(ctx context.Context, cmd *exec.Cmd, c host.Command) (host.Result, error) {
	if err := ctx.Err(); err != nil {
		return host.Result{}, err
	}
	limit := c.Limit
	if limit == 0 {
		limit = defaultOutputLimit
	}
	stdout, stderr := &tail{limit: limit}, &tail{limit: limit}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	started := r.now()
	if err := start(cmd, c.Umask); err != nil {
		return host.Result{}, err
	}
	exited, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		r.end(ctx, cmd.Process.Pid, exited)
	}()
	err := cmd.Wait()
	close(exited)
	<-ended
	res := host.Result{Stdout: stdout.bytes(), Stderr: stderr.bytes(), Duration: r.now().Sub(started)}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		res.Code = 128 + int(status.Signal())
	} else {
		res.Code = cmd.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	if ctx.Err() != nil {
		return res, fmt.Errorf("ended: %w", context.Cause(ctx))
	}
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return res, err
	}
	return res, nil
}

// end ends the process group when ctx ends before the program does: TERM, and KILL after the grace time or when the
// program itself is gone.
func (r *runner) end(ctx context.Context, pid int, exited <-chan struct{}) {
	select {
	case <-exited:
		return
	case <-ctx.Done():
	}
	_ = unix.Kill(-pid, unix.SIGTERM)
	timer := time.NewTimer(r.grace)
	defer timer.Stop()
	select {
	case <-exited:
	case <-timer.C:
	}
	_ = unix.Kill(-pid, unix.SIGKILL)
	<-exited
}

// start starts a program with a umask of its own. The umask belongs to the process; a thread that stops sharing it
// can have another one, which the program inherits. That thread is not used again.
func start(cmd *exec.Cmd, umask string) error {
	if umask == "" {
		return cmd.Start()
	}
	mask, err := strconv.ParseUint(umask, 8, 12)
	if err != nil || mask > 0o777 {
		return fmt.Errorf("%q is not a umask: want octal digits such as \"0022\"", umask)
	}
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			failed <- fmt.Errorf("setting the umask: %w", err)
			return
		}
		unix.Umask(int(mask))
		failed <- cmd.Start()
	}()
	return <-failed
}

// tail keeps the last bytes of what is written to it.
type tail struct {
	limit int
	data  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if n > t.limit {
		p = p[n-t.limit:]
	}
	t.data = append(t.data, p...)
	if len(t.data) > 2*t.limit {
		t.data = append(t.data[:0], t.data[len(t.data)-t.limit:]...)
	}
	return n, nil
}

func (t *tail) bytes() []byte {
	if len(t.data) > t.limit {
		return t.data[len(t.data)-t.limit:]
	}
	return t.data
}

// Interactive runs a program of the person who uses this one, with their environment and terminal, such as an editor. It
// fails when the program does.
func Interactive(ctx context.Context, argv []string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running %s: %w", argv[0], err)
	}
	return nil
}
