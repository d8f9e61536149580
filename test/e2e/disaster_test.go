//go:build linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// modal is a policy with a mode. Who looks after a ledger has a standby, which runs in a crisis.
func modal() policy {
	return policy{
		motd: "{{ if .mode.failover }}crisis{{ else }}quiet{{ end }}", currency: "EUR", rollout: atOnce, interval: crisis.String(),
		more: map[string]string{
			"roles/standby.yaml":           "kind: Role\nwhen: role == \"ledger\"\nmodules: [standby]\n",
			"roles/failover.yaml":          "kind: Role\nwhen: mode.failover\nmodules: [takeover]\n",
			"modules/takeover/module.yaml": "kind: Module\nresources:\n  - file: /etc/issue\n    content: \"taken over\\n\"\n",
			"modules/standby/module.yaml": `kind: Module
resources:
  - file: /etc/systemd/system/standby.service
    mode: "0644"
    content: |
      [Service]
      ExecStart=/bin/sleep infinity
  - service: standby
    running: "{{ .mode.failover }}"
`,
		},
	}
}

const (
	crisis = 15 * time.Second // interval of the plant
	busy   = 12 * time.Second // that a computer with much else to do may take for what is at once
)

// aDisaster: two people have all nodes that can be reached change over within one interval, and back. One that is off meanwhile
// is named, and follows when it is there again.
func (p *plant) aDisaster(t *testing.T) {
	p.change(t, modal())
	p.all(t, "quiet")
	p.operator(t).Await("all are ready, and told of the interval", func() error {
		if m := p.operator(t).Mode(); m.On || len(m.Unready) > 0 || m.There != nodes {
			return fmt.Errorf("%+v", m)
		}
		var list []report.NodeStatus
		if err := p.operator(t).Ask(&list, "nodes"); err != nil {
			return err
		}
		for _, n := range list {
			if n.Interval != crisis && n.Name != "plant" {
				return fmt.Errorf("%s was told %s", n.Name, n.Interval)
			}
		}
		return nil
	})
	p.hosts.Kill("node-19")
	p.flip(t, "crisis", true, []string{"node-19"}, "set", "failover", "--note", "the site is gone")
	for _, box := range p.boxes {
		box.becomes(t, check{"cat /etc/issue; systemctl is-active standby", "taken over\nactive"})
	}
	if got := p.hosts.Read(t, "node-19", motd); got != "quiet" {
		t.Errorf("node-19 is off and has %q", got)
	}
	p.hosts.Run(p.t, "node-19")
	p.all(t, "crisis")
	p.flip(t, "quiet", false, nil, "clear", "failover")
	for _, box := range p.boxes {
		box.becomes(t, check{"systemctl is-active standby || true", "inactive"})
	}
}

// flip has both people order something, and all nodes act on it in time; but for those that cannot be reached, which are named.
func (p *plant) flip(t *testing.T, motd string, on bool, away []string, words ...string) {
	t.Helper()
	ordered := time.Now()
	for i, key := range p.keys {
		cmd := p.operator(t).Command(append(append([]string{"mode"}, words...), "--channel", "stable", "--trust-root", p.root, "--key", key,
			"--registry", p.registry, "--plain-http")...)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 4*(1-i) { // the first of two is told that one more must sign
			t.Fatalf("%v by %s: %v\n%s", words, key, err, out)
		}
	}
	eventually(t, motd+" on all that can be reached", func(context.Context) error {
		if got := p.having(t, motd); len(got) < nodes-len(away) {
			return fmt.Errorf("%v", got)
		}
		return nil
	})
	last := slices.MaxFunc(p.written(t), time.Time.Compare).Sub(ordered)
	t.Logf("%s: the last node changed over %s after the order", motd, last.Round(time.Millisecond))
	if last > crisis+busy {
		t.Errorf("%s: the last node changed over %s after the order, the interval is %s", motd, last, crisis)
	}
	p.operator(t).Await("the service knows it", func() error {
		if m := p.operator(t).Mode(); m.On != on || m.There != nodes-len(away) || !slices.Equal(append(m.Lagging, m.Gone...), away) {
			return fmt.Errorf("%+v", m)
		}
		return nil
	})
}

// written is when each node wrote its file.
func (p *plant) written(t *testing.T) (at []time.Time) {
	t.Helper()
	for _, name := range p.hosts.Names {
		info, err := os.Stat(p.path(name, motd))
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, info.ModTime())
	}
	for _, box := range p.boxes {
		seconds, err := strconv.ParseFloat(strings.TrimSpace(box.MustExec(t, "stat", "-c", "%.Y", "/"+motd)), 64)
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, time.UnixMilli(int64(seconds*1000)))
	}
	return at
}
