//go:build linux

package machine

import (
	"errors"
	"strings"
	"testing"

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
	s := otherInit(h.FS, h.Run, true)
	if s == nil {
		t.Fatal("no init system was found")
	}
	return s, m
}

const (
	alpine = `file /sbin/openrc-run mode=0755
file /etc/init.d/sshd mode=0755
file /etc/init.d/crond mode=0755
link /etc/runlevels/default/sshd -> /etc/init.d/sshd
link /run/openrc/started/sshd -> /etc/init.d/sshd
file /run/openrc/daemons/sshd/001 "exec=/usr/sbin/sshd\npidfile=/run/sshd.pid\n"
file /run/sshd.pid "12\n"
dir /proc/12
command ["rc-service","crond","start"] creates=/run/openrc/started/crond
command ["rc-service","sshd","stop"] removes=/run/openrc/started/sshd
command ["rc-service","sshd","reload"]
`
	void = "link /var/service -> /run/runit/runsvdir/current\ndir /run/runit/runsvdir/current\n" +
		"file /etc/runit/2 mode=0755\nfile /etc/sv/sshd/run mode=0755\nfile /etc/sv/ntpd/run mode=0755\n" +
		`file /etc/sv/sshd/supervise/status "TTTTTTTTNNNN\f\x00\x00\x00\x00u\x00\x01"` + "\n" +
		"link /run/runit/runsvdir/current/sshd -> /etc/sv/sshd\n" +
		`command ["sv","-w","30","start","ntpd"] creates=/etc/sv/ntpd/supervise/status content="TTTTTTTTNNNN\r\x00\x00\x00\x00u\x00\x01"` + "\n"
	devuan = `dir /etc/rc2.d
file /etc/init.d/ssh mode=0755
file /etc/init.d/cron mode=0755
link /etc/rc2.d/S02ssh -> ../init.d/ssh
file /run/ssh.pid "12\n"
dir /proc/12
command ["/etc/init.d/cron","status"] reads code=3
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
		"runit": {void, []host.Service{
			{Name: "ntpd", Boot: host.Disabled, State: "down", Live: true},
			{Name: "sshd", Boot: host.Enabled, Running: true, State: "run", Live: true},
		}},
		"sysv": {devuan, []host.Service{
			{Name: "cron", Boot: host.Disabled, State: "stopped", Live: true},
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
		{"runit disable", run.SetBoot(ctx, "sshd", host.Disabled)},
	} {
		if step.err != nil {
			t.Errorf("%s: %v", step.name, step.err)
		}
	}
	for _, want := range []struct {
		on   *initScripts
		name string
		is   host.Boot
	}{{rc, "crond", host.Enabled}, {rc, "sshd", host.Disabled}, {run, "ntpd", host.Enabled}, {run, "sshd", host.Disabled}} {
		if got, err := want.on.Service(ctx, want.name); err != nil || got.Boot != want.is {
			t.Errorf("%s: %+v, %v", want.name, got, err)
		}
	}
	if err := rc.SetBoot(ctx, "sshd", host.Masked); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("mask: %v", err)
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
	if otherInit(h.FS, h.Run, true) != nil {
		t.Error("systemd is installed")
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
