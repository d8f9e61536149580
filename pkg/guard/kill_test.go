package guard_test

import (
	"context"
	"io"
	iofs "io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vigo.dev/pkg/guard"
	"vigo.dev/pkg/host"
	"vigo.dev/pkg/host/hosttest"
	"vigo.dev/pkg/resource"
)

const before = `
dir /etc mode=0755
file /etc/old mode=0640 "old\n"
file /etc/gone mode=0600 "precious\n"
link /etc/link -> /etc/old
dir /etc/tree mode=0750
file /etc/tree/a mode=0644 "a\n"
file /etc/tree/b mode=0600 "b\n"
file /etc/attr mode=0604 "content\n"
service web running=true boot=disabled
service other running=false boot=enabled
sysctl net.ipv4.ip_forward 0
table inet main 0123456789ab
command ["reread"]
`

// step is one change through a host.
type step func(ctx context.Context, h *host.Host) error

// steps change one thing of every kind.
func steps() []step {
	mode := func(m iofs.FileMode) host.Attr { return host.Attr{Mode: &m} }
	write := func(name, text string) step {
		return func(ctx context.Context, h *host.Host) error {
			return h.FS.Write(ctx, name, strings.NewReader(text), host.WriteOptions{Attr: mode(0o600)})
		}
	}
	return []step{
		write("/etc/old", "new\n"),
		write("/etc/old", "newer\n"),
		func(ctx context.Context, h *host.Host) error { return h.FS.MakeDir(ctx, "/etc/deep/er", host.Attr{}) },
		write("/etc/deep/er/file", "x\n"),
		func(ctx context.Context, h *host.Host) error { return h.FS.Remove(ctx, "/etc/gone", false) },
		func(ctx context.Context, h *host.Host) error { return h.FS.Link(ctx, "/etc/link", "/etc/deep") },
		func(ctx context.Context, h *host.Host) error { return h.FS.Remove(ctx, "/etc/tree", true) },
		write("/etc/tree", "now a file\n"),
		func(ctx context.Context, h *host.Host) error { return h.FS.SetAttr(ctx, "/etc/attr", mode(0o777)) },
		write("/etc/attr", "changed\n"),
		func(ctx context.Context, h *host.Host) error {
			return h.Kernel.SetSysctl(ctx, "net.ipv4.ip_forward", "1")
		},
		func(ctx context.Context, h *host.Host) error { return h.Services.SetBoot(ctx, "web", host.Enabled) },
		func(ctx context.Context, h *host.Host) error { return h.Services.SetRunning(ctx, "other", true) },
		func(ctx context.Context, h *host.Host) error { return h.Services.SetRunning(ctx, "web", false) },
		func(ctx context.Context, h *host.Host) error {
			return h.FS.Write(ctx, "/etc/main.nft", strings.NewReader("table inet main\n"), host.WriteOptions{})
		},
		func(ctx context.Context, h *host.Host) error {
			return h.Firewall.Load(ctx, "inet", "main", "/etc/main.nft")
		},
		func(ctx context.Context, h *host.Host) error {
			_, err := h.Run.Run(ctx, host.Command{Argv: []string{"reread"}})
			return err
		},
	}
}

// dying is a process that is killed at the n-th moment: before or after something is changed.
type dying struct{ left int }

func (d *dying) moment() {
	if d.left--; d.left == 0 {
		runtime.Goexit()
	}
}

func (d *dying) around(do func() error) error {
	d.moment()
	err := do()
	d.moment()
	return err
}

// mortal is a host on which the process is killed at the n-th moment; 0: never.
func mortal(h *host.Host, n int) *host.Host {
	d := &dying{n}
	m := *h
	m.FS, m.Services, m.Kernel, m.Firewall, m.Run = fs{h.FS, d}, services{h.Services, d}, kernel{h.Kernel, d}, firewall{h.Firewall, d}, runner{h.Run, d}
	return &m
}

type fs struct {
	host.FS
	d *dying
}

func (f fs) SetAttr(c context.Context, p string, a host.Attr) error {
	return f.d.around(func() error { return f.FS.SetAttr(c, p, a) })
}

func (f fs) Write(c context.Context, p string, r io.Reader, o host.WriteOptions) error {
	return f.d.around(func() error { return f.FS.Write(c, p, r, o) })
}

func (f fs) MakeDir(c context.Context, p string, a host.Attr) error {
	return f.d.around(func() error { return f.FS.MakeDir(c, p, a) })
}

func (f fs) Link(c context.Context, p, target string) error {
	return f.d.around(func() error { return f.FS.Link(c, p, target) })
}

func (f fs) Remove(c context.Context, p string, all bool) error {
	return f.d.around(func() error { return f.FS.Remove(c, p, all) })
}

type services struct {
	host.Services
	d *dying
}

func (s services) SetBoot(c context.Context, n string, b host.Boot) error {
	return s.d.around(func() error { return s.Services.SetBoot(c, n, b) })
}

func (s services) SetRunning(c context.Context, n string, r bool) error {
	return s.d.around(func() error { return s.Services.SetRunning(c, n, r) })
}

type kernel struct {
	host.Kernel
	d *dying
}

func (k kernel) SetSysctl(c context.Context, key, v string) error {
	return k.d.around(func() error { return k.Kernel.SetSysctl(c, key, v) })
}

type firewall struct {
	host.Firewall
	d *dying
}

func (f firewall) Load(c context.Context, family, t, p string) error {
	return f.d.around(func() error { return f.Firewall.Load(c, family, t, p) })
}

func (f firewall) Restore(c context.Context, family, t, dump string) error {
	return f.d.around(func() error { return f.Firewall.Restore(c, family, t, dump) })
}

type runner struct {
	host.Runner
	d *dying
}

func (r runner) Run(c context.Context, cmd host.Command) (res host.Result, err error) {
	err = r.d.around(func() (err error) { res, err = r.Runner.Run(c, cmd); return err })
	return res, err
}

// lives runs a process, and says whether it came to its end before it was killed.
func lives(t *testing.T, process func() error) (done bool) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := process(); err != nil {
			t.Error(err)
		}
		done = true
	}()
	<-ended
	return done
}

func item() resource.Item {
	return resource.Item{ID: resource.ID{Type: "thing", Name: "x"}, Module: "m", Digest: "d", Meta: resource.Meta{Guard: time.Minute}}
}

// TestKilledAtEveryMoment kills the process before and after each change that it makes, and then, at each restart, one moment
// later while it puts back: in the end the machine is as before.
func TestKilledAtEveryMoment(t *testing.T) {
	t.Parallel()
	for n, done := 1, false; !done; n++ {
		m, err := hosttest.Parse([]byte(before))
		if err != nil {
			t.Fatal(err)
		}
		want, path, boot, up := m.String(), filepath.Join(t.TempDir(), "guard.json"), "one", time.Hour
		open := func() *guard.Keeper {
			k, err := guard.Open(path, func() (string, time.Duration, error) { return boot, up, nil }, false)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		k := open()
		done = lives(t, func() error {
			h := k.Watch(item(), mortal(m.Host(), n))
			for _, change := range steps() {
				if err := change(t.Context(), h); err != nil {
					return err
				}
			}
			return nil
		})
		if done && m.String() == want {
			t.Fatal("nothing was changed")
		}
		up += time.Minute
		for r, back := 1, false; !back; r++ {
			k := open()
			back = lives(t, func() error {
				_, err := k.Revert(t.Context(), mortal(m.Host(), r))
				return err
			})
			boot += "+" // once it has begun, no reboot gives it more time
			if r > 1000 {
				t.Fatal("it is put back for ever")
			}
		}
		if diff := cmp.Diff(want, m.String()); diff != "" {
			t.Fatalf("killed at moment %d it is not as before (-want +got):\n%s", n, diff)
		}
		if _, waiting := open().Left(); waiting {
			t.Fatalf("killed at moment %d something still waits", n)
		}
		if n > 1000 {
			t.Fatal("it changes for ever")
		}
		if why := open().Refused(item()); done && why != "reverted: no check-in within 1m" {
			t.Errorf("tried again: %q", why)
		}
	}
}
