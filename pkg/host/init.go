package host

import (
	"errors"
	"strings"
)

// Init is the init system of a machine: what its first process is, or would be.
type Init string

// The init systems that are known. The zero value is none of them.
const (
	Systemd Init = "systemd"
	OpenRC  Init = "openrc"
	Runit   Init = "runit"
	SysV    Init = "sysv" // init scripts alone
)

// RunningInit looks for the init system that has booted the machine; none in another root folder, in a container that only
// runs a program, and where the first process is one that nobody knows. What is merely installed does not count: a Debian
// with another init system may have the files of systemd.
func RunningInit(f FileReader) (Init, error) {
	for _, sign := range []struct {
		path string
		is   Init
	}{{"/run/systemd/system", Systemd}, {"/run/openrc/softlevel", OpenRC}} { // sd_booted(3); openrc(8)
		found, err := anyOf(f, sign.path)
		if err != nil || found {
			return sign.is, err
		}
	}
	name, err := f.Read("/proc/1/comm", 64)
	if errors.Is(err, ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	switch strings.TrimSpace(string(name)) {
	case "runit":
		return Runit, nil
	case "init":
		return scriptsOnly(f)
	}
	return "", nil
}

// InstalledInit looks for the init system that would boot the machine.
func InstalledInit(f FileReader) (Init, error) {
	for _, sign := range []struct {
		is    Init
		paths []string
	}{
		{Systemd, []string{"/lib/systemd/systemd", "/usr/lib/systemd/systemd"}},
		{OpenRC, []string{"/sbin/openrc-run", "/usr/sbin/openrc-run", "/usr/bin/openrc-run"}},
		{Runit, []string{"/etc/runit/2", "/etc/sv"}},
	} {
		found, err := anyOf(f, sign.paths...)
		if err != nil || found {
			return sign.is, err
		}
	}
	return scriptsOnly(f)
}

// FindInit is [RunningInit], or else [InstalledInit].
func FindInit(f FileReader) (Init, error) {
	is, err := RunningInit(f)
	if err != nil || is != "" {
		return is, err
	}
	return InstalledInit(f)
}

// scriptsOnly looks for init scripts and the folders that say which of them are run.
func scriptsOnly(f FileReader) (Init, error) {
	scripts, err := anyOf(f, "/etc/init.d")
	if err != nil || !scripts {
		return "", err
	}
	levels, err := anyOf(f, "/etc/rc2.d", "/etc/rc.d/rc3.d")
	if err != nil || !levels {
		return "", err
	}
	return SysV, nil
}

// anyOf says whether one of the paths is there.
func anyOf(f FileReader, paths ...string) (bool, error) {
	for _, name := range paths {
		_, err := f.Stat(name)
		if err == nil || !errors.Is(err, ErrNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}
