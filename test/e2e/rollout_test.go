//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
)

// staged is the policy of a fleet of which three machines have a ledger. Two of them, and one other node, are for trials.
func staged(motd, currency string) map[string]string {
	return map[string]string{
		"fleet.yaml": "kind: Fleet\nname: acme\ninterval: 2s\nlabels: [role, stage]\nnodes:\n" +
			"  - {match: \"box-[12]\", labels: {role: ledger, stage: trial}}\n  - {match: \"box-3\", labels: {role: ledger}}\n  - {match: \"node-00\", labels: {stage: trial}}\n",
		"roles/all.yaml":           "kind: Role\nmodules: [motd]\n",
		"roles/ledger.yaml":        "kind: Role\nwhen: role == \"ledger\"\nmodules: [ledger]\n",
		"modules/motd/module.yaml": "kind: Module\nresources:\n  - file: /etc/motd\n    content: \"" + motd + "\\n\"\n    mode: \"0644\"\n",
		"modules/ledger/module.yaml": `kind: Module
resources:
  - file: /etc/ledger.conf
    content: "currency=` + currency + `\n"
    mode: "0644"
    notify: [service:ledger]
  - file: /etc/systemd/system/ledger.service
    mode: "0644"
    content: |
      [Service]
      ExecStartPre=/bin/grep -qx currency=[A-Z][A-Z][A-Z] /etc/ledger.conf
      ExecStart=/bin/sleep infinity
      [Install]
      WantedBy=multi-user.target
  - service: ledger
    running: true
    enabled: true
`,
		"rollouts/stable.yaml": `kind: Rollout
channel: stable
gate: {soak: 3s, checkins: 2, success: 100%}
deadline: 3m
abort: {failed: {percent: 50, min: 2}, lost: {percent: 50, min: 2}}
stages:
  - {name: canary, when: stage == "trial", size: 100%}
  - {name: early, size: 50%}
  - {name: rest, size: 100%}
`,
	}
}

// plant is a fleet behind a hub: three machines that are booted, and seventeen agents with a host of their own each.
type plant struct {
	*site
	hub   string // its address
	boxes []*node
	hosts []string // roots of the others
}

const hosts = 17

func newPlant(t *testing.T) *plant {
	t.Helper()
	p := &plant{site: newSite(t)}
	p.run(t, "git", "-C", p.path("policy"), "rm", "-q", "-r", "roles", "modules", "data")
	p.commit(t, "one", staged("one", "EUR"))
	p.up(t)
	p.hub = p.freeAddress(t)
	writeFile(t, p.path("hub.token"), p.run(t, p.vigoBin(), "token", "create", "--hub", "--names", "plant"))
	p.start(t, p.vigoBin(), "hub", "--data", p.path("hub"), "--listen", p.hub, "--poll", "300ms", "--name", "plant", "--server", "https://"+p.addr, "--token-file", p.path("hub.token"))
	p.await(t, "the hub", func(st report.Status) error {
		if len(st.Hubs) != 1 || st.Hubs[0].Presence != report.Live {
			return fmt.Errorf("%+v", st.Hubs)
		}
		return nil
	})
	p.boxes = p.boot(t, "box-1", "box-2", "box-3")
	for _, n := range p.boxes {
		n.server = p.hub
		n.enrol(t)
	}
	token := strings.TrimSpace(p.run(t, p.vigoBin(), "token", "create", "--uses", fmt.Sprint(hosts)))
	agent := filepath.Join(p.bin, "vigo-agent")
	for i := range hosts {
		root := p.path(fmt.Sprintf("node-%02d", i))
		if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
			t.Fatal(err)
		}
		p.run(t, agent, "--root", root, "enroll", "--server", "https://"+p.hub, "--token", token, "--node", filepath.Base(root))
		p.start(t, agent, "--root", root, "run")
		p.hosts = append(p.hosts, root)
	}
	eventually(t, "the first policy on all", func(ctx context.Context) error { return p.all(ctx, "one") })
	return p
}

// having is how many of the machines and hosts have a line in their file.
func (p *plant) having(ctx context.Context, motd string) (n int) {
	for _, box := range p.boxes {
		if out, _, _, err := box.Exec(ctx, "cat", "/etc/motd"); err == nil && strings.TrimSpace(out) == motd {
			n++
		}
	}
	for _, root := range p.hosts {
		if data, err := os.ReadFile(filepath.Join(root, "etc/motd")); err == nil && strings.TrimSpace(string(data)) == motd {
			n++
		}
	}
	return n
}

func (p *plant) all(ctx context.Context, motd string) error {
	if n, want := p.having(ctx, motd), len(p.boxes)+len(p.hosts); n != want {
		return fmt.Errorf("%d of %d have %q", n, want, motd)
	}
	return nil
}

// rollsOut waits for the end of the rollout of a commit, and returns how many nodes had it at most in each stage.
func (p *plant) rollsOut(t *testing.T, motd string, end rollout.Phase) (s report.RolloutStatus, most map[string]int) {
	t.Helper()
	most = map[string]int{}
	eventually(t, motd+" is "+string(end), func(ctx context.Context) error {
		var list []report.RolloutStatus
		n := p.having(ctx, motd) // before what may follow is asked
		if err := p.vigo(ctx, &list, "rollout", "status"); err != nil {
			return err
		}
		if len(list) == 0 || strings.TrimSpace(p.run(t, "git", "-C", p.path("policy"), "rev-parse", "HEAD")) != list[0].Commit {
			return fmt.Errorf("it has not begun: %+v", list)
		}
		s = list[0]
		for _, st := range s.Stages {
			if st.State == "open" {
				most[st.Name] = max(most[st.Name], n)
			}
		}
		if s.Phase != end {
			return fmt.Errorf("it is %s (%s), %v", s.Phase, s.Reason, s.Counts)
		}
		return nil
	})
	return s, most
}

// TestRollout: what is good goes from the trials to half of the plant to all of it by itself. What breaks a service stops in the
// trials, and what is said of each machine is what it is like.
func TestRollout(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	p.commit(t, "two", staged("two", "USD"))
	s, most := p.rollsOut(t, "two", rollout.Completed)
	if most["canary"] != 3 || most["early"] != 10 || s.Counts[rollout.Healthy] != 20 {
		t.Errorf("at most %v had it in the stages, want 3 and 10; at the end %v", most, s.Counts)
	}
	eventually(t, "the second policy on all", func(ctx context.Context) error { return p.all(ctx, "two") })

	p.commit(t, "broken", staged("broken", "euros"))
	s, _ = p.rollsOut(t, "broken", rollout.Aborted)
	if s.Reason != rollout.AbortFailed || s.Counts[rollout.Failed] != 2 {
		t.Errorf("it ends because of %s: %v", s.Reason, s.Counts)
	}
	if n := p.having(t.Context(), "broken"); n != 3 {
		t.Errorf("%d have it, want the 3 of the trial", n)
	}
	for i, want := range []string{"currency=euros failed", "currency=euros failed", "currency=USD active"} {
		p.boxes[i].is(t, check{"echo $(cat /etc/ledger.conf; systemctl is-active ledger)", want})
	}
	for name, word := range map[string]rollout.Word{"box-1": rollout.Failed, "box-2": rollout.Failed, "box-3": rollout.Pending, "node-09": rollout.Pending} {
		if said := p.run(t, p.vigoBin(), "rollout", "explain", name); !strings.HasPrefix(said, name+" is "+string(word)+":") {
			t.Errorf("of %s it says %q, want %s", name, said, word)
		}
	}
}
