//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/test/programs"
)

// policy is one of the plant. On the machines is a ledger, which does not start with a currency that there is not. Two of the
// machines, and one other node, are for trials. systemd is told not to count starts: an agent that tries each 2 s would soon be refused.
type policy struct {
	motd, currency string
	rollout        string
	interval       string // empty: 2 s
	more           map[string]string
}

// How the plant rolls out what is new.
func inThree() string {
	return programs.Stages{Soak: "3s", Failed: "percent: 50, min: 2", Lost: "percent: 50, min: 2", Half: true}.Policy()
}

func inTwo(soak string) string {
	return programs.Stages{Soak: soak, Failed: "percent: 50, min: 2", Lost: "percent: 30, min: 1"}.Policy()
}

const atOnce = "kind: Rollout\nchannel: stable\nstrategy: immediate\n"

func (pol policy) files() map[string]string {
	interval := pol.interval
	if interval == "" {
		interval = "2s"
	}
	files := map[string]string{
		"fleet.yaml": "kind: Fleet\nname: acme\ninterval: " + interval + "\nlabels: [role, stage]\nmodes: {failover: false}\nnodes:\n" +
			"  - {match: \"box-[12]\", labels: {role: ledger, stage: trial}}\n  - {match: \"box-3\", labels: {role: ledger}}\n  - {match: \"node-00\", labels: {stage: trial}}\n",
		"roles/all.yaml":           "kind: Role\nmodules: [motd]\n",
		"roles/ledger.yaml":        "kind: Role\nwhen: role == \"ledger\"\nmodules: [ledger]\n",
		"modules/motd/module.yaml": "kind: Module\nresources:\n  - file: /etc/motd\n    content: \"" + pol.motd + "\\n\"\n    mode: \"0644\"\n",
		"modules/ledger/module.yaml": `kind: Module
resources:
  - file: /etc/ledger.conf
    content: "currency=` + pol.currency + `\n"
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
		"rollouts/stable.yaml": pol.rollout,
	}
	for name, text := range pol.more {
		files[name] = text
	}
	return files
}

// change commits a policy, and returns the commit.
func (p *plant) change(t *testing.T, pol policy) (commit string) {
	t.Helper()
	p.commit(t, pol.motd, pol.files())
	return strings.TrimSpace(p.run(t, "git", "-C", p.path("policy"), "rev-parse", "HEAD"))
}

// rollsOut waits until the rollout of a commit is as it should be.
func (p *plant) rollsOut(t *testing.T, commit, what string, so func(report.RolloutStatus) bool) (s report.RolloutStatus) {
	t.Helper()
	return p.operator(t).AwaitRollout(fmt.Sprintf("%.7s %s", commit, what), func(s report.RolloutStatus) bool { return s.Commit == commit && so(s) })
}
