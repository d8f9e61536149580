package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// cycles is how many runs of the running agent are measured.
const cycles = 20

// daemon measures what a run costs an agent that keeps running: enrolled, checking in, with digests and databases known
// from the run before.
func (b *bench) daemon(ctx context.Context) (err error) {
	const section = "The agent as a service, 247 resources, each run with pointer look-up, traits and check-in"
	w, err := newWorkload("daemon", b.path("daemon"), folders, 200)
	if err != nil {
		return err
	}
	if err := errors.Join(w.addInstalled("/var/lib/dpkg/status", 20), w.addUsers("/etc/passwd", 10)); err != nil {
		return err
	}
	if _, _, err := b.prepare(ctx, w); err != nil {
		return err
	}
	repository := b.path("policy", w.name)
	fleet := strings.Replace(vigoPolicy(w)["fleet.yaml"], "interval: 30s", "interval: 1s", 1)
	if err := errors.Join(writeAll(repository, map[string]string{"fleet.yaml": fleet}), gitCommit(ctx, repository, "every second")); err != nil {
		return err
	}
	s, err := b.up(ctx, "daemon-up", repository)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(s.explain(err), s.stop()) }()
	agent, err := b.enrolled(ctx, s, "daemon-agent")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(agent.explain(err), agent.stop()) }()
	// A file must have been left alone for two seconds before its digest is kept, so the first runs read all of them.
	if err := s.runsOf(ctx, "daemon-agent", 5, w.resources()); err != nil {
		return err
	}
	before, err := cpuOf(agent.cmd.Process.Pid)
	if err != nil {
		return err
	}
	if err := s.runsOf(ctx, "daemon-agent", cycles, w.resources()); err != nil {
		return err
	}
	after, err := cpuOf(agent.cmd.Process.Pid)
	if err != nil {
		return err
	}
	each := float64((after - before).Microseconds()) / 1000 / cycles
	b.found.add(atMost(figure{Section: section, What: "CPU per run", Who: "vigo-agent", Value: each * 250 / float64(w.resources()), Unit: "ms",
		Note: fmt.Sprintf("per 250 resources, mean of %d runs, one a second", cycles)}, 10))
	return nil
}

// enrolled enrols an agent of this machine with a state folder of its own, and starts it.
func (b *bench) enrolled(ctx context.Context, s *service, node string) (*process, error) {
	var token struct{ Token string }
	if err := s.ask(ctx, &token, "token", "create", "-o", "json"); err != nil {
		return nil, err
	}
	state := b.path(node + "-state")
	enroll := command{argv: []string{b.agent(), "enroll", "--state", state, "--server", "https://" + s.address, "--node", node}, env: []string{"VIGO_TOKEN=" + token.Token}}
	if _, _, err := enroll.once(ctx); err != nil {
		return nil, err
	}
	return b.start(node, b.agent(), "run", "--state", state)
}

// runsOf waits until a node has made n more runs, each with every resource in line.
func (s *service) runsOf(ctx context.Context, node string, n, resources int) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for last := ""; n >= 0; {
		var st struct {
			Run struct {
				ID     string
				Error  string
				Counts struct{ OK int }
			}
		}
		// The node is not known before its first check-in; then the answer cannot be decoded.
		if err := s.ask(ctx, &st, "node", node, "-o", "json"); err == nil && st.Run.ID != last {
			if st.Run.Counts.OK != resources || st.Run.Error != "" {
				return fmt.Errorf("the agent has %d of %d resources in line: %s", st.Run.Counts.OK, resources, st.Run.Error)
			}
			last = st.Run.ID
			n--
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for runs of %s: %w", node, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
