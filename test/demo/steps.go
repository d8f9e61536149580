package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

var nodes = []string{"kiosk-2", "kiosk-1", "lab-1"}

// repository makes a git repository of the example policy, with an interval that suits an audience.
func (d *demo) repository(ctx context.Context) error {
	dir := d.path("policy")
	if err := os.CopyFS(dir, os.DirFS("policies-example")); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(dir, "rollouts")); err != nil { // each change is to be seen at once
		return err
	}
	if err := replace(filepath.Join(dir, "fleet.yaml"), "interval: 30s", "interval: "+interval.String()); err != nil {
		return err
	}
	if _, err := d.run(ctx, "git", "init", "-q", "-b", "main", dir); err != nil {
		return err
	}
	return d.commit(ctx, "The policy of Acme")
}

func (d *demo) commit(ctx context.Context, subject string) error {
	if _, err := d.run(ctx, "git", "-C", d.path("policy"), "add", "-A"); err != nil {
		return err
	}
	if _, err := d.run(ctx, "git", "-C", d.path("policy"), "commit", "-q", "-m", subject); err != nil {
		return err
	}
	out, err := d.run(ctx, "git", "-C", d.path("policy"), "log", "-1", "--oneline")
	say("%s", strings.TrimSpace(out))
	return err
}

func (d *demo) up(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0") // to learn of a free port
	if err != nil {
		return err
	}
	d.address = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	service, err := d.start("vigo-up", d.vigo(), "up", "--data", d.path("data"), "--git", d.path("policy"), "--listen", d.address, "--poll", "1s")
	if err != nil {
		return err
	}
	st, err := await(ctx, d, "a published pointer", 30*time.Second, service, func(s status) bool { return s.channel("stable").Pointer != "" })
	if err != nil {
		return err
	}
	c := st.channel("stable")
	say("channel stable: pointer %s names bundle %s of commit %.7s, signed", c.Pointer, short(c.Digest), c.Commit)
	return nil
}

func (d *demo) enrol(ctx context.Context) error {
	for _, node := range nodes {
		token, err := d.run(ctx, d.vigo(), "token", "create", "--names", node, "--label", "environment=production")
		if err != nil {
			return err
		}
		root := d.path("hosts", node)
		if err := unpack(root); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(root, "etc/hostname"), []byte(node+"\n"), 0o644); err != nil {
			return err
		}
		out, err := d.run(ctx, d.agent(), "--root", root, "enroll", "--server", "https://"+d.address, "--token", strings.TrimSpace(token), "--node", node)
		if err != nil {
			return err
		}
		say("%s", strings.TrimSpace(out))
		if d.agents[node], err = d.start(node, d.agent(), "--root", root, "run"); err != nil {
			return err
		}
	}
	return nil
}

// unpack writes the file system of a small Debian machine.
func unpack(root string) error {
	a, err := txtar.ParseFile("test/demo/root.txtar")
	if err != nil {
		return err
	}
	for _, f := range a.Files {
		path := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) converged(ctx context.Context) error {
	st, err := await(ctx, d, "three nodes on the bundle", 40*time.Second, nil, func(s status) bool {
		return s.Presences.Live == 3 && s.channel("stable").Current == 3 && s.Compliance.Failed == 0 && s.Compliance.Never == 0
	})
	if err != nil {
		return err
	}
	say("%d of %d nodes live, all on bundle %s", st.Presences.Live, st.Presences.Total, short(st.channel("stable").Digest))
	motd, err := os.ReadFile(d.path("hosts", "kiosk-1", "etc/motd"))
	if err != nil {
		return err
	}
	say("kiosk-1:/etc/motd now says:\n    %s", strings.ReplaceAll(strings.TrimSpace(string(motd)), "\n", "\n    "))
	return nil
}

func (d *demo) push(ctx context.Context) error {
	before, err := d.status(ctx)
	if err != nil {
		return err
	}
	file := d.path("policy", "modules/motd/module.yaml")
	if err := replace(file, "default: Welcome", "default: Good morning and welcome"); err != nil {
		return err
	}
	if err := d.commit(ctx, "motd: be more polite"); err != nil {
		return err
	}
	began := time.Now()
	old := before.channel("stable").Digest
	st, err := await(ctx, d, "the new bundle on all nodes", 30*time.Second, nil, func(s status) bool {
		c := s.channel("stable")
		return c.Digest != old && c.Current == 3
	})
	if err != nil {
		return err
	}
	say("after %s all run %s instead of %s; what it changed on kiosk-1:", time.Since(began).Round(100*time.Millisecond), short(st.channel("stable").Digest), short(old))
	return d.showChange(ctx, "kiosk-1", "motd/file:/etc/motd", "changed")
}

func (d *demo) breakFile(ctx context.Context) error {
	path := d.path("hosts", "kiosk-2", "etc/motd")
	if err := overwrite(path, []byte("I was here.\n")); err != nil {
		return err
	}
	say("kiosk-2:/etc/motd is overwritten, mode 0600")
	return d.showChange(ctx, "kiosk-2", "motd/file:/etc/motd", "corrected")
}

func (d *demo) mistake(ctx context.Context) error {
	file := d.path("policy", "modules/motd/module.yaml")
	if err := replace(file, "template: motd.tmpl", "templete: motd.tmpl"); err != nil {
		return err
	}
	if err := d.commit(ctx, "motd: a typo"); err != nil {
		return err
	}
	st, err := await(ctx, d, "the mistake in the status", 20*time.Second, nil, func(s status) bool { return s.channel("stable").Error != "" })
	if err != nil {
		return err
	}
	say("%s", st.channel("stable").Error)
	if err := replace(file, "templete: motd.tmpl", "template: motd.tmpl"); err != nil {
		return err
	}
	if err := d.commit(ctx, "motd: mend the typo"); err != nil {
		return err
	}
	_, err = await(ctx, d, "the mistake gone", 20*time.Second, nil, func(s status) bool { return s.channel("stable").Error == "" && s.channel("stable").Current == 3 })
	return err
}
