//go:build linux

package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// exitReboot is how systemd-nspawn --keep-unit says that the machine asked to be rebooted: it ends, and leaves starting
// it again to whoever started it.
const exitReboot = 133

// startScript runs in mount and process namespaces of its own, in the directory of the machine. It is number 1 in its
// namespace, so that all processes of the machine end with it: systemd-nspawn by itself leaves them behind when it is
// killed. What it mounts, and what systemd-nspawn keeps in /run, is gone with the last of them.
const startScript = `set -e
` + mountOverlay + `
mount --bind "$1" ` + netnsFile + `
mount -t proc proc /proc
mount -t tmpfs -o mode=755 fleet /run
shift
set +e
"$@"
exit $?
`

// container is a running systemd-nspawn, below the shell that runs startScript.
type container struct{ *process }

// startContainer boots the disk in a work directory, by systemd or by what is /sbin/init.
func startContainer(w *workdir, hostname string, ns *netns, systemd bool) (*container, error) {
	nspawn, err := lookTool("systemd-nspawn")
	if err != nil {
		return nil, err
	}
	console, err := os.OpenFile(filepath.Join(w.path, consoleFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer console.Close()
	group, err := w.group.open("")
	if err != nil {
		return nil, err
	}
	defer group.Close()
	cmd := exec.Command("/bin/sh", "-c", startScript, "sh", ns.path(), nspawn,
		"--register=no", "--keep-unit", "--quiet",
		"--directory="+rootDir, "--machine="+hostname,
		"--system-call-filter=bpf @keyring",                                 // as on a real machine: Docker's runc lets a container have devices, and gives it a keyring
		"--network-namespace-path="+netnsFile, "--capability=CAP_NET_ADMIN", // for its own network only
		"--console=read-only", "--resolv-conf=off", "--timezone=off", "--link-journal=no")
	if systemd {
		cmd.Args = append(cmd.Args, "--boot")
	} else {
		cmd.Args = append(cmd.Args, "/sbin/init")
	}
	cmd.Dir = w.path
	cmd.Env = []string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb",
		"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1",      // as Debian has it, whatever this computer has
		"SYSTEMD_NSPAWN_API_VFS_WRITABLE=network", // net.* may be set: the namespace is the machine's own
	}
	cmd.Stdout, cmd.Stderr = console, console
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS, Setsid: true, Pdeathsig: unix.SIGKILL,
		UseCgroupFD: true, CgroupFD: int(group.Fd()),
	}
	p, err := startProcess(cmd)
	return &container{p}, err
}

// errDown is the answer of a machine that is off, or between two boots.
var errDown = errors.New("the machine is not running")

// leader returns the process that is number 1 on the machine.
func (c *container) leader() (int, error) {
	for _, nspawn := range childrenOf(strconv.Itoa(c.cmd.Process.Pid)) {
		for _, child := range childrenOf(nspawn) {
			status, err := os.ReadFile(filepath.Join("/proc", child, "status"))
			if err != nil {
				continue
			}
			if ids := strings.Fields(field(string(status), "NSpid")); len(ids) > 0 && ids[len(ids)-1] == "1" {
				return strconv.Atoi(child)
			}
		}
	}
	return 0, errDown
}

// childrenOf returns the children of a process with one thread; none when it has ended.
func childrenOf(pid string) []string {
	children, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(children))
}

// field returns a line of a file such as /proc/self/status, without its name.
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// droppedCapabilities returns the capabilities number 1 on the machine may not have, as setpriv takes them: a command
// that enters from outside must not be able to do more, such as setting the clock of this computer.
func droppedCapabilities(leader int) (string, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(leader), "status"))
	if err != nil {
		return "", errDown
	}
	bounds, err := strconv.ParseUint(field(string(status), "CapBnd"), 16, 64)
	if err != nil {
		return "", fmt.Errorf("reading the capabilities of the machine: %w", err)
	}
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return "", fmt.Errorf("reading the capabilities of this computer: %w", err)
	}
	count, err := strconv.Atoi(strings.TrimSpace(string(last)))
	if err != nil {
		return "", fmt.Errorf("reading the capabilities of this computer: %w", err)
	}
	var drop []string
	for i := range count + 1 {
		if bounds&(1<<i) == 0 {
			drop = append(drop, fmt.Sprintf("-cap_%d", i))
		}
	}
	return strings.Join(drop, ","), nil
}
