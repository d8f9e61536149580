package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A peer is a tool that does what Vigo does, as a row: what it is called, how it is got, what its policy looks like and
// how it is run.
type peer struct {
	name    string
	program string // looked for in $PATH
	install string // for who has it not
	file    string // of its policy
	policy  func(workload) (string, error)
	argv    func(policy, dir string) []string
	// idle says whether a run found nothing to do.
	idle func(output string, code int) error
	runs int // at most; the slow ones have fewer
	most int // files it is asked to keep; beyond that a run takes too long to wait for
}

func peers() []peer {
	return []peer{
		{
			name: "cf-agent", program: "cf-agent", install: "apt-get install cfengine3", file: "bench.cf", runs: 3, most: 10_000,
			policy: func(w workload) (string, error) { return cfenginePolicy(w), nil },
			// -K: also what was checked within the last minute. -I says what was repaired.
			argv: func(policy, _ string) []string { return []string{"cf-agent", "-KI", "-f", policy} },
			idle: func(output string, code int) error {
				if code != 0 || strings.Contains(output, "info:") || strings.Contains(output, "error:") {
					return fmt.Errorf("it ended with %d and found something to do", code)
				}
				return nil
			},
		},
		{
			name: "puppet apply", program: "puppet", install: "apt-get install puppet", file: "bench.pp", runs: 3, most: 10_000,
			policy: func(w workload) (string, error) { return puppetManifest(w), nil },
			argv: func(policy, dir string) []string {
				return []string{"puppet", "apply", "--detailed-exitcodes", "--confdir", filepath.Join(dir, "conf"), "--vardir", filepath.Join(dir, "var"), policy}
			},
			idle: exitsWith0,
		},
		{
			name: "ansible-playbook", program: "ansible-playbook", install: "apt-get install ansible-core", file: "bench.json", runs: 1, most: 1_000,
			policy: ansiblePlaybook,
			argv:   func(policy, _ string) []string { return []string{"ansible-playbook", "-i", "localhost,", policy} },
			idle: func(output string, code int) error {
				if code != 0 || !strings.Contains(output, "changed=0") {
					return fmt.Errorf("it ended with %d and does not say changed=0", code)
				}
				return nil
			},
		},
	}
}

func exitsWith0(_ string, code int) error {
	if code != 0 {
		return fmt.Errorf("it ended with %d", code)
	}
	return nil
}

// besides measures every peer that is installed with a workload, and adds its figures as ratios to ours.
func (b *bench) besides(ctx context.Context, section string, w workload, ours series) error {
	if !b.peers {
		return nil
	}
	_, median := ours.wall()
	_, work := ours.cpu()
	var failed []error
	for _, p := range peers() {
		if _, err := exec.LookPath(p.program); err != nil {
			b.found.add(figure{Section: section, What: "wall time", Who: p.name, Note: "not installed (" + p.install + ")"})
			continue
		}
		if len(w.files) > p.most {
			b.found.add(figure{Section: section, What: "wall time", Who: p.name, Note: fmt.Sprintf("not run: too slow for %d files", len(w.files))})
			continue
		}
		got, err := b.measurePeer(ctx, p, w)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		_, wall := got.wall()
		_, cpu := got.cpu()
		b.found.add(figure{Section: section, What: "wall time", Who: p.name, Value: wall.Seconds(), Unit: "s", Ratio: wall.Seconds() / median.Seconds(),
			Note: fmt.Sprintf("largest process %d MB, median of %d", got.rss()>>20, len(got))},
			figure{Section: section, What: "CPU time", Who: p.name, Value: cpu.Seconds(), Unit: "s", Ratio: cpu.Seconds() / work.Seconds(),
				Note: "on a machine that others use too, compare this"})
	}
	return errors.Join(failed...)
}

func (b *bench) measurePeer(ctx context.Context, p peer, w workload) (series, error) {
	dir := b.path("peers", w.name, p.program)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	text, err := p.policy(w)
	if err != nil {
		return nil, err
	}
	policy := filepath.Join(dir, p.file)
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		return nil, err
	}
	c := command{argv: p.argv(policy, dir), env: []string{"LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=False"}, check: p.idle}
	if p.runs > 1 {
		all, err := measure(ctx, min(p.runs, b.runs), c)
		if err != nil {
			return nil, err
		}
		return all[0], nil
	}
	s, _, err := c.once(ctx)
	return series{s}, err
}
