package host_test

import (
	"testing"

	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
)

func TestInitSystemIsFound(t *testing.T) {
	t.Parallel()
	const (
		debian  = "file /usr/lib/systemd/systemd mode=0755\nfile /etc/init.d/ssh mode=0755\ndir /etc/rc2.d\n"
		scripts = "file /etc/init.d/ssh mode=0755\n"
	)
	for name, c := range map[string]struct {
		text            string
		runs, installed host.Init
	}{
		"nothing":                         {"", "", ""},
		"systemd":                         {debian + "dir /run/systemd/system\nfile /proc/1/comm \"systemd\\n\"\n", host.Systemd, host.Systemd},
		"a container of Debian":           {debian + "file /proc/1/comm \"nginx\\n\"\n", "", host.Systemd},
		"sysvinit, with files of systemd": {debian + "file /proc/1/comm \"init\\n\"\n", host.SysV, host.Systemd},
		"runit, with files of systemd":    {debian + "dir /etc/sv\nfile /proc/1/comm \"runit\\n\"\n", host.Runit, host.Systemd},
		"openrc below sysvinit":           {debian + "file /run/openrc/softlevel \"default\\n\"\nfile /proc/1/comm \"init\\n\"\n", host.OpenRC, host.Systemd},
		"an image of Alpine":              {"file /sbin/openrc-run mode=0755\ndir /etc/init.d\n", "", host.OpenRC},
		"an image of Void":                {"file /etc/runit/2 mode=0755\n", "", host.Runit},
		"an image with init scripts":      {scripts + "dir /etc/rc.d/rc3.d\n", "", host.SysV},
		"init scripts that nobody runs":   {scripts, "", ""},
		"an init that is a program alone": {"file /proc/1/comm \"init\\n\"\n", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := hosttest.Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			fs := m.Host().FS
			if got, err := host.RunningInit(fs); err != nil || got != c.runs {
				t.Errorf("runs: %q, %v, want %q", got, err, c.runs)
			}
			if got, err := host.InstalledInit(fs); err != nil || got != c.installed {
				t.Errorf("installed: %q, %v, want %q", got, err, c.installed)
			}
			want := c.runs
			if want == "" {
				want = c.installed
			}
			if got, err := host.FindInit(fs); err != nil || got != want {
				t.Errorf("found: %q, %v, want %q", got, err, want)
			}
		})
	}
}

// What cannot be looked at is not taken for absent.
func TestInitSystemThatCannotBeLookedFor(t *testing.T) {
	t.Parallel()
	m, err := hosttest.Parse([]byte("fail read /proc/1/comm \"permission denied\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := host.FindInit(m.Host().FS); err == nil {
		t.Errorf("got %q", got)
	}
}
