//go:build linux

package fleet

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// initScript is what is done inside a machine that gets another init system than systemd.
//
//go:embed init.sh
var initScript string

// upMark is what the last script of the boot of such a machine makes.
const upMark = "/run/fleet-up"

// initPackages are the packages of an init system, by the name that the trait os.init has for it. The files of systemd stay where
// they are, as on most machines of Debian that have another init system.
func initPackages() map[string][]string {
	return map[string][]string{
		"openrc": {"openrc", "orphan-sysvinit-scripts", "sysvinit-core"},
		"runit":  {"orphan-sysvinit-scripts", "runit-init", "sysv-rc"},
		"sysv":   {"orphan-sysvinit-scripts", "sysv-rc", "sysvinit-core"},
	}
}

// initLayer is what lies over an image to have it boot with another init system. Its hash changes with the image below.
type initLayer struct {
	Below  string
	Recipe recipe
}

// layerOf returns the directory of what lies over the image to have it boot with an init system, and makes it if need be, which takes
// seconds and the mirror that apt uses on this computer.
func layerOf(ctx context.Context, cacheDir, image, name string) (string, error) {
	packages, known := initPackages()[name]
	if !known {
		return "", fmt.Errorf("no machine has the init system %q", name)
	}
	l := initLayer{Below: filepath.Base(image), Recipe: recipe{Suite: debian12.Suite, Repo: packages, Finish: initScript}}
	return cached(ctx, cacheDir, "init-"+name+"-"+hashOf(l), func(dir, scratch string) error {
		return l.fill(ctx, image, dir, scratch)
	})
}

// fill installs the packages into an overlay over the image, whose upper directory is kept.
func (l initLayer) fill(ctx context.Context, image, dir, scratch string) error {
	src, err := findSources(ctx, l.Recipe.Suite)
	if err != nil {
		return err
	}
	debs, err := l.Recipe.download(ctx, src, image, scratch)
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	all := filepath.Join(scratch, "install")
	for _, name := range []string{all, filepath.Join(scratch, workDir), filepath.Join(scratch, rootDir)} {
		if err := os.Mkdir(name, 0o755); err != nil {
			return err
		}
	}
	for _, deb := range debs {
		if err := os.Rename(deb, filepath.Join(all, filepath.Base(deb))); err != nil {
			return err
		}
	}
	for link, target := range map[string]string{imageLink: image, upperDir: dir} {
		if err := os.Symlink(target, filepath.Join(scratch, link)); err != nil {
			return err
		}
	}
	if err := os.Mkdir(filepath.Join(scratch, layerLink), 0o755); err != nil {
		return err
	}
	const script = "set -e\n" + mountOverlay + `
mount -t proc proc root/proc
mount --bind install root/mnt
chroot root /bin/sh -ec "$1"
`
	cmd := build(ctx, "/bin/sh", "-c", script, "sh", l.Recipe.Finish)
	cmd.Dir = scratch
	if err := run(cmd); err != nil {
		return fmt.Errorf("installing the init system: %w", err)
	}
	return nil
}

// bootedByScripts waits until a machine without systemd has started everything.
func (m *Machine) bootedByScripts(ctx context.Context) error {
	_, _, code, err := m.Exec(ctx, "test", "-e", upMark)
	if err == nil && code != 0 {
		err = errors.New("its last script has not run yet")
	}
	return err
}
