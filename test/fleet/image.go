//go:build linux

package fleet

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// finishScript is what is done inside a fresh image.
//
//go:embed finish.sh
var finishScript string

// recipe is all that decides what is in an image; its hash names the image.
type recipe struct {
	Suite    string
	Packages []string // installed in the image, beyond the smallest Debian
	Repo     []string // in the local repository, with what they depend on
	Demo     []string // versions of the package fleet-demo in the local repository
	Finish   string
}

var debian12 = recipe{
	Suite: "bookworm",
	Packages: []string{
		"apt", "ca-certificates", "cron", "dbus", "iproute2", "iputils-ping", "login", "passwd", "procps", "sudo", "systemd",
		"systemd-sysv", "udev",
	},
	Repo: []string{
		"acl", "ansible-core", "apparmor", "at", "btrfs-progs", "chrony", "createrepo-c", "crun", "dnf", "docker-compose", "docker.io",
		"dosfstools", "etcd-server", "firewalld", "flatpak", "git", "ifupdown", "kubernetes-client", "logrotate", "lvm2",
		"network-manager", "nfs-kernel-server", "nftables", "nginx-light", "npm", "openrc", "openssh-server", "pacman-package-manager",
		"podman", "policycoreutils", "policycoreutils-python-utils", "puppet-agent", "puppet-module-puppetlabs-cron-core",
		"puppet-module-puppetlabs-host-core", "puppet-module-puppetlabs-mount-core", "puppet-module-puppetlabs-sshkeys-core",
		"puppet-module-puppetlabs-stdlib", "python3-apt", "python3-pip", "python3-pytest", "python3-testinfra", "python3-venv",
		"quota", "rpm", "rsyslog", "ruby", "runit", "selinux-policy-default", "selinux-utils", "sudo", "tree", "ufw", "unbound",
		"wpasupplicant",
		"xfsprogs", "zypper",
	},
	Demo:   []string{"1.0", "2.0"},
	Finish: finishScript,
}

// Image returns the directory of the image machines boot from, and builds it when the cache directory has none made
// after the present recipe. Building takes minutes and the mirror apt uses on this computer.
func Image(ctx context.Context, cacheDir string) (string, error) {
	return cached(ctx, cacheDir, "image-"+hashOf(debian12), func(dir, scratch string) error {
		return debian12.fill(ctx, dir, scratch)
	})
}

// fill makes an image in an empty directory.
func (r recipe) fill(ctx context.Context, root, scratch string) error {
	src, err := findSources(ctx, r.Suite)
	if err != nil {
		return err
	}
	if err := r.bootstrap(ctx, src, root); err != nil {
		return err
	}
	return r.complete(ctx, src, root, scratch)
}

// complete fills the local repository and does what is to be done inside.
func (r recipe) complete(ctx context.Context, src sources, root, scratch string) error {
	if err := r.fillRepository(ctx, src, root, scratch); err != nil {
		return err
	}
	finish := build(ctx, "chroot", root, "/bin/sh", "-s")
	finish.Stdin = strings.NewReader(r.Finish)
	if err := run(finish); err != nil {
		return fmt.Errorf("finishing: %w", err)
	}
	return nil
}

// bootstrap installs the smallest Debian and the packages of the recipe.
func (r recipe) bootstrap(ctx context.Context, src sources, root string) error {
	cmd := build(ctx, "debootstrap", "--variant=minbase", "--include="+strings.Join(r.Packages, ","), r.Suite, root, src.mirror)
	cmd.Env = append(cmd.Environ(), src.proxies...)
	if err := run(cmd); err != nil {
		return fmt.Errorf("bootstrapping Debian: %w", err)
	}
	return nil
}

// build prepares a command that changes the image: what it mounts and starts is gone when it ends or is killed.
func build(ctx context.Context, name string, args ...string) *exec.Cmd {
	if path, err := lookTool(name); err == nil {
		name = path
	}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL,
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs a command; when it fails, the error holds the end of what it said.
func run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, tail(string(out), 20))
	}
	return nil
}

// tail returns the last lines of a text.
func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
