//go:build linux

package fleet

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	lines     = 4 // commands that can run on a virtual machine at one time
	shareDir  = "share"
	emptyDisk = 1 << 30 // bytes, of which a machine writes few
)

// startKernel starts a virtual machine in a work directory and returns the lines to it. It does not wait for anything.
//
// The kernel is Debian's build of Linux for the architecture um (user-mode-linux): it runs as a process without rights, on
// any computer, where one for the processor would need to be emulated.
func startKernel(w *workdir, image string, arguments []string) (*process, []*line, error) {
	console, err := os.OpenFile(filepath.Join(w.path, consoleFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, err
	}
	defer console.Close()
	share := filepath.Join(w.path, shareDir)
	if err := os.Mkdir(share, 0o755); err != nil {
		return nil, nil, err
	}
	args := []string{
		"mem=768M", "root=/dev/ubda", "rw", "con=null", "con0=null,fd:1", "hostfs=" + share, "uml_dir=" + w.path,
		"ubd0=disk.cow," + filepath.Join(image, diskFile), "quiet",
	}
	for i, disk := range []string{"disk1", "disk2"} {
		if err := emptyFile(filepath.Join(w.path, disk), emptyDisk); err != nil {
			return nil, nil, err
		}
		args = append(args, fmt.Sprintf("ubd%d=%s", i+1, disk))
	}
	// The shell is number 1 of a namespace: what the kernel started ends with it.
	cmd := exec.Command("/bin/sh", "-c", `"$@"; exit $?`, "sh", filepath.Join(image, kernelFile))
	var ends []*line
	for i := range lines {
		ours, theirs, err := socketPair()
		if err != nil {
			return nil, nil, err
		}
		defer theirs.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
		args = append(args, fmt.Sprintf("ssl%d=fd:%d", i, 2+len(cmd.ExtraFiles)))
		ends = append(ends, &line{name: fmt.Sprintf("ttyS%d", i), share: share, conn: ours})
	}
	group, err := w.group.open("")
	if err != nil {
		return nil, nil, err
	}
	defer group.Close()
	cmd.Args = append(append(cmd.Args, args...), arguments...)
	cmd.Dir = w.path
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + w.path, "TMPDIR=/dev/shm"}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID, Setsid: true, Pdeathsig: unix.SIGKILL, UseCgroupFD: true, CgroupFD: int(group.Fd()),
	}
	p, err := startProcess(cmd)
	return p, ends, err
}

// socketPair returns two ends that are connected.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a line: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, fmt.Errorf("making a line: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "line"), os.NewFile(uintptr(fds[1]), "line"), nil
}

// emptyFile makes a file that is all hole.
func emptyFile(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(size)
}
