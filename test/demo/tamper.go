package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tamper changes one byte of the new layer in the registry before any agent has fetched it.
func (d *demo) tamper(ctx context.Context) error {
	for _, p := range d.agents { // so that none is faster
		p.signal(syscall.SIGSTOP)
	}
	before, err := d.status(ctx)
	if err != nil {
		return err
	}
	known := d.blobs()
	if err := replace(d.path("policy", "modules/motd/module.yaml"), "Good morning and welcome", "Good evening"); err != nil {
		return err
	}
	if err := d.commit(ctx, "motd: it is late"); err != nil {
		return err
	}
	old := before.channel("stable").Digest
	if _, err := await(ctx, d, "the new pointer", 20*time.Second, nil, func(s status) bool { return s.channel("stable").Digest != old }); err != nil {
		return err
	}
	path, good, err := d.newLayer(known)
	if err != nil {
		return err
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)/2] ^= 0x01
	if err := overwrite(path, bad); err != nil {
		return err
	}
	say("one bit of layer %s is changed in the registry", short(filepath.Base(path)))
	for _, p := range d.agents {
		p.signal(syscall.SIGCONT)
	}
	st, err := await(ctx, d, "refusals in the status", 40*time.Second, nil, func(s status) bool { return s.count("refused") == 3 })
	if err != nil {
		return err
	}
	for _, p := range st.Problems {
		if p.Kind == "refused" {
			say("%s: %s", p.Node, p.Text)
		}
	}
	motd, err := os.ReadFile(d.path("hosts", "kiosk-2", "etc/motd"))
	if err != nil || !strings.HasPrefix(string(motd), "Good morning") {
		return fmt.Errorf("kiosk-2 does not keep its last good state: %q, %v", motd, err)
	}
	say("kiosk-2:/etc/motd is still that of the last good bundle")
	if err := overwrite(path, good); err != nil {
		return err
	}
	_, err = await(ctx, d, "all nodes on the honest bundle", 40*time.Second, nil, func(s status) bool { return s.channel("stable").Current == 3 && s.count("refused") == 0 })
	say("the honest layer is back: all take it")
	return err
}

// blobs are the paths of all blobs of the embedded registry.
func (d *demo) blobs() map[string]bool {
	found := map[string]bool{}
	err := filepath.WalkDir(d.path("data", "registry"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.Contains(path, "/blobs/sha256/") {
			found[path] = true
		}
		return nil
	})
	if err != nil {
		return nil
	}
	return found
}

// newLayer finds the layer that was pushed since.
func (d *demo) newLayer(known map[string]bool) (path string, data []byte, err error) {
	for path := range d.blobs() {
		if known[path] {
			continue
		}
		data, err := os.ReadFile(path)
		if err == nil && len(data) > 2 && data[0] == 0x1f && data[1] == 0x8b {
			return path, data, nil
		}
	}
	return "", nil, fmt.Errorf("the registry has no new layer")
}

func overwrite(path string, data []byte) error {
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// silence stops an agent and waits until it is known to be stale.
func (d *demo) silence(ctx context.Context) error {
	d.agents["lab-1"].stop()
	stopped := time.Now()
	_, err := await(ctx, d, "lab-1 stale", 30*time.Second, nil, func(s status) bool { return s.Presences.Stale == 1 })
	if err != nil {
		return err
	}
	say("lab-1 is stale %s after it was stopped; its interval is %s", time.Since(stopped).Round(100*time.Millisecond), interval)
	return nil
}

func (d *demo) finish(ctx context.Context) error {
	// `vigo status` ends with 1 here: a stopped agent is a problem.
	out, err := d.run(ctx, d.vigo(), "status")
	fmt.Print(out)
	if out == "" {
		return err
	}
	return nil
}

// status is the part of `vigo status -o json` that the demo looks at.
type status struct {
	Presences  struct{ Total, Live, Late, Stale int }
	Compliance struct{ OK, Changed, Drift, Failed, Never int }
	Channels   []channel
	Problems   []struct{ Kind, Node, Text string }
}

type channel struct {
	Channel, Pointer, Digest, Commit, Error string
	Current                                 int
}

func (s status) channel(name string) channel {
	for _, c := range s.Channels {
		if c.Channel == name {
			return c
		}
	}
	return channel{}
}

// count is the number of nodes with a kind of problem.
func (s status) count(kind string) int {
	nodes := map[string]bool{}
	for _, p := range s.Problems {
		if p.Kind == kind {
			nodes[p.Node] = true
		}
	}
	return len(nodes)
}

func (d *demo) status(ctx context.Context) (status, error) {
	var s status
	out, err := d.run(ctx, d.vigo(), "status", "-o", "json")
	if out == "" {
		return s, err
	}
	return s, json.Unmarshal([]byte(out), &s)
}
