//go:build linux

package machine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
)

// initOn finds the init system of a machine in memory.
func initOn(t *testing.T, text string) (*initScripts, *hosttest.Machine) {
	t.Helper()
	m, err := hosttest.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	s, err := otherInit(h.FS, h.Run, true)
	if err != nil || s == nil {
		t.Fatal("no init system was found", err)
	}
	s.live, s.settle = true, time.Millisecond
	return s, m
}

const (
	alpine = `file /sbin/openrc-run mode=0755
file /etc/init.d/sshd mode=0755 "#!/sbin/openrc-run\n"
file /etc/init.d/crond mode=0755 "#!/sbin/openrc-run\n"
file /etc/init.d/halt mode=0755 "#!/bin/sh\n"
link /etc/runlevels/default/sshd -> /etc/init.d/sshd
link /etc/runlevels/shutdown/crond -> /etc/init.d/crond
link /run/openrc/started/sshd -> /etc/init.d/sshd
file /run/openrc/daemons/sshd/001 "exec=/usr/sbin/sshd\npidfile=/run/sshd.pid\n"
file /run/sshd.pid "12\n"
dir /proc/12
command ["rc-service","crond","start"] creates=/run/openrc/started/crond
command ["rc-service","sshd","zap"] removes=/run/openrc/started/sshd
command ["rc-service","sshd","start"] creates=/run/openrc/started/sshd
command ["rc-service","sshd","stop"] removes=/run/openrc/started/sshd
command ["rc-service","sshd","reload"]
`
	// Debian's OpenRC keeps no state of scripts that are not its own.
	debianRC = `file /sbin/openrc-run mode=0755
file /etc/init.d/cron mode=0755 "#!/bin/sh\ncase $1 in\nstatus)\n"
file /etc/init.d/mountall.sh mode=0755 "#!/bin/sh\n"
link /etc/runlevels/default/cron -> /etc/init.d/cron
link /etc/runlevels/sysinit/mountall.sh -> /etc/init.d/mountall.sh
link /run/openrc/started/cron -> /etc/init.d/cron
command ["/etc/init.d/cron","status"] reads code=3 stdout="cron is not running"
`
	void = "link /var/service -> /run/runit/runsvdir/current\ndir /run/runit/runsvdir/current\n" +
		"file /etc/runit/2 mode=0755\nfile /etc/sv/sshd/run mode=0755\nfile /etc/sv/ntpd/run mode=0755\nfile /etc/sv/held/run mode=0755\ndir /etc/sv/.hidden\n" +
		`file /etc/sv/sshd/supervise/status "TTTTTTTTNNNN\f\x00\x00\x00\x00u\x00\x01"` + "\ndir /proc/12\ndir /proc/13\n" +
		`file /etc/sv/held/supervise/status "TTTTTTTTNNNN\x00\x00\x00\x00\x00u\x00\x00"` + "\nfile /etc/sv/held/down\n" +
		"link /run/runit/runsvdir/current/sshd -> /etc/sv/sshd\nlink /run/runit/runsvdir/current/held -> /etc/sv/held\n" +
		`command ["sv","-w","30","status","/var/service/ntpd"] reads` + "\n" +
		`command ["sv","-w","10","start","/var/service/ntpd"] creates=/etc/sv/ntpd/supervise/status content="TTTTTTTTNNNN\r\x00\x00\x00\x00u\x00\x01"` + "\n" +
		`command ["sv","-w","30","stop","/var/service/sshd"] creates=/etc/sv/sshd/supervise/status content="TTTTTTTTNNNN\x00\x00\x00\x00\x00d\x00\x00"` + "\n"
	devuan = `dir /etc/rc2.d
file /etc/init.d/ssh mode=0755
file /srv/cron mode=0755 "#!/bin/sh\ncase \"$1\" in\n  status)\n"
link /etc/init.d/cron -> ../../srv/cron
file /usr/share/doc/README mode=0644 "read me"
link /etc/init.d/README -> /usr/share/doc/README
link /etc/init.d/nowhere -> /srv/nowhere
file /etc/init.d/quota mode=0755 "#!/bin/sh\ncase $1 in\nrestart | \"status\" ) ;;\n"
file /etc/init.d/old mode=0755 "#!/bin/sh\nhalt # whatever it is told\n"
file /etc/init.d/gone mode=0755 "#!/bin/sh\ntest -x /usr/sbin/gone || exit 0\ncase $1 in\nstatus)\n"
file /etc/init.d/procps mode=0755 "#!/bin/sh\n"
file /etc/init.d/umountfs mode=0755 "#!/bin/sh\n"
link /etc/rcS.d/S01procps -> ../init.d/procps
link /etc/rc0.d/K07umountfs -> ../init.d/umountfs
link /etc/rc2.d/S02ssh -> ../init.d/ssh
file /run/ssh.pid "12\n"
dir /proc/12
command ["/etc/init.d/cron","status"] reads code=3
command ["/etc/init.d/quota","status"] reads code=4 stderr="cannot tell"
command ["/etc/init.d/gone","status"] reads
command ["update-rc.d","cron","defaults"]
command ["update-rc.d","cron","enable"] creates=/etc/rc2.d/S03cron
command ["/etc/init.d/cron","start"] code=1 stderr="cron: cannot open crontab"
`
)

func TestOtherInitSystemsAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []host.Service
	}{
		"openrc": {alpine, []host.Service{
			{Name: "crond", Boot: host.Disabled, State: "stopped", Live: true},
			{Name: "sshd", Boot: host.Enabled, Running: true, State: "started", Live: true},
		}},
		"openrc, crashed": {strings.Replace(alpine, "dir /proc/12\n", "", 1), []host.Service{
			{Name: "crond", Boot: host.Disabled, State: "stopped", Live: true},
			{Name: "sshd", Boot: host.Enabled, Failed: true, State: "crashed", Live: true},
		}},
		"openrc of Debian": {debianRC, []host.Service{
			{Name: "cron", Boot: host.Enabled, State: "stopped", Live: true},
		}},
		"runit": {void, []host.Service{
			{Name: "held", Boot: host.Disabled, Failed: true, State: "down, and wanted up", Live: true},
			{Name: "ntpd", Boot: host.Disabled, State: "down", Live: true},
			{Name: "sshd", Boot: host.Enabled, Running: true, State: "run", Live: true},
		}},
		"sysv": {devuan, []host.Service{
			{Name: "cron", Boot: host.Disabled, State: "stopped", Live: true},
			{Name: "gone", Boot: host.Disabled, State: "stopped", Live: true},
			{Name: "old", Boot: host.Disabled, State: "not known: /etc/init.d/old has no status", Live: true, Unknown: true},
			{Name: "quota", Boot: host.Disabled, State: "not known: /etc/init.d/quota status ended with status 4: cannot tell", Live: true, Unknown: true},
			{Name: "ssh", Boot: host.Enabled, Running: true, State: "running", Live: true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, m := initOn(t, c.text)
			got, err := s.All(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			if log := m.Log(); len(log) > 0 {
				t.Errorf("looking wrote: %v", log)
			}
			if _, err := s.Service(t.Context(), "nothing"); !errors.Is(err, host.ErrNotFound) {
				t.Errorf("a service that is not there: %v", err)
			}
		})
	}
}

func TestOtherInitSystemsAreChanged(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	rc, _ := initOn(t, alpine)
	run, _ := initOn(t, void)
	for _, step := range []struct {
		name string
		err  error
	}{
		{"openrc start", rc.SetRunning(ctx, "crond.service", true)},
		{"openrc reload", rc.Restart(ctx, "sshd", true)},
		{"openrc stop", rc.SetRunning(ctx, "sshd", false)},
		{"openrc enable", rc.SetBoot(ctx, "crond", host.Enabled)},
		{"openrc disable", rc.SetBoot(ctx, "sshd", host.Disabled)},
		{"runit start", run.SetRunning(ctx, "ntpd", true)},
		{"runit enable", run.SetBoot(ctx, "ntpd", host.Enabled)},
		{"runit enable of one that is held", run.SetBoot(ctx, "held", host.Enabled)},
		{"runit disable of one that runs", run.SetBoot(ctx, "sshd", host.Disabled)},
	} {
		if step.err != nil {
			t.Errorf("%s: %v", step.name, step.err)
		}
	}
	for _, want := range []struct {
		on   *initScripts
		name string
		is   host.Boot
	}{{rc, "crond", host.Enabled}, {rc, "sshd", host.Disabled}, {run, "ntpd", host.Enabled}, {run, "held", host.Enabled}, {run, "sshd", host.Disabled}} {
		if got, err := want.on.Service(ctx, want.name); err != nil || got.Boot != want.is {
			t.Errorf("%s: %+v, %v", want.name, got, err)
		}
	}
	if is, err := run.Service(ctx, "sshd"); err != nil || !is.Running {
		t.Errorf("what is disabled runs on: %+v, %v", is, err)
	}
	if err := run.SetRunning(ctx, "sshd", false); err != nil {
		t.Error(err)
	}
	if err := rc.SetBoot(ctx, "sshd", host.Masked); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("mask: %v", err)
	}
}

// For a service that OpenRC takes for started, and whose daemon is gone, start would do nothing.
func TestCrashedServiceOfOpenRCIsForgottenFirst(t *testing.T) {
	t.Parallel()
	rc, m := initOn(t, strings.Replace(alpine, "dir /proc/12\n", "", 1))
	if err := rc.SetRunning(t.Context(), "sshd", true); err == nil || !strings.Contains(err.Error(), "now crashed") {
		t.Error(err)
	}
	if log := strings.Join(m.Log(), "\n"); !strings.Contains(log, "zap") || strings.Index(log, "zap") > strings.Index(log, "start") {
		t.Errorf("the commands were\n%s", log)
	}
}

// A script that fails is an error with its last words.
func TestInitScriptThatFails(t *testing.T) {
	t.Parallel()
	s, _ := initOn(t, devuan)
	if err := s.SetBoot(t.Context(), "cron", host.Enabled); err != nil {
		t.Fatal(err)
	}
	err := s.SetRunning(t.Context(), "cron", true)
	if err == nil || !strings.Contains(err.Error(), "starting service cron: status 1, now stopped: cron: cannot open crontab") {
		t.Error(err)
	}
}

// Where systemd is installed it is systemd's, and another root folder has nothing that runs.
func TestOtherInitIsNotTakenForSystemd(t *testing.T) {
	t.Parallel()
	m, err := hosttest.Parse([]byte(devuan + "file /lib/systemd/systemd mode=0755\n"))
	if err != nil {
		t.Fatal(err)
	}
	h := m.Host()
	if s, err := otherInit(h.FS, h.Run, true); err != nil || s != nil {
		t.Error("systemd is installed", err)
	}
	image, _ := initOn(t, alpine)
	image.live = false
	if is, err := image.Service(t.Context(), "sshd"); err != nil || is.Running || is.Live || is.Boot != host.Enabled {
		t.Errorf("%+v, %v", is, err)
	}
	if err := image.SetRunning(t.Context(), "sshd", true); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}

func TestProcessStateIsRead(t *testing.T) {
	t.Parallel()
	good := "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1\n"
	is, passOver, err := parseStat([]byte(good))
	if err != nil || passOver || is.Name != "a) b" || is.Started != 4242 {
		t.Errorf("%+v %v %v", is, passOver, err)
	}
	for _, bad := range []string{"", "7 (a", "7 (a) S 1", ")(", strings.Replace(good, "4242", "x", 1)} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
