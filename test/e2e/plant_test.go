//go:build linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/test/fleet"
	"vigo.dev/test/programs"
)

// plant is a fleet behind a hub: three machines that are booted, and twenty agents with a host of their own each. What is at its
// centre, registry, report service and controller, are programs of their own behind one cable; hub and nodes are on the other side.
type plant struct {
	*site
	t        *testing.T  // what is started by a story runs on in the next
	floor    *fleet.Host // where the hub and the agents are
	hub      string      // its address
	registry string      // with the repository
	root     string      // document that nodes pin
	keys     [2]string   // of those who flip modes
	text     string      // that all nodes have
	service  *programs.Process
	boxes    []*node
	hosts    *programs.Hosts
}

const (
	hosts = 20
	nodes = 3 + hosts
	motd  = "etc/motd" // what tells the policies apart
)

func newPlant(t *testing.T) *plant {
	t.Helper()
	p := &plant{site: newSite(t), t: t}
	p.floor, p.host = p.host, p.net.NewHost(t)
	p.addr = p.freeAddress(t)
	p.run(t, "git", "-C", p.path("policy"), "rm", "-q", "-r", "roles", "modules", "data")
	p.change(t, policy{motd: "one", currency: "EUR", rollout: inThree()})

	registry, _ := p.startRegistry(t)
	p.registry = registry + "/" + repository
	p.root, p.keys = programs.TwoKeys(t, p.operator(t).Run, p.path("controller"), p.dir)
	p.report(t)
	p.start(t, p.vigoBin(), "controller", "--data", p.path("controller"), "--git", p.path("policy"), "--registry", p.registry, "--plain-http",
		"--report", p.path("data/controller.json"), "--listen", p.freeAddress(t), "--poll", "500ms")
	p.publishes(t)
	p.startHub(t)

	p.boxes = p.boot(t, "box-1", "box-2", "box-3")
	for _, n := range p.boxes {
		n.server = p.hub
		n.enrol(t)
	}
	p.hosts = programs.NewHosts(p.dir, func(args ...string) *exec.Cmd {
		return p.floor.Command(context.Background(), filepath.Join(p.bin, "vigo-agent"), args...)
	})
	p.hosts.Enrol(t, p.hub, p.operator(t).Run("token", "create", "--uses", fmt.Sprint(hosts)), hosts)
	for _, name := range p.hosts.Names {
		p.hosts.Run(t, name)
	}
	p.all(t, "one")
	p.await(t, "reports of all", func(st report.Status) error {
		if st.Presences.Live != nodes {
			return fmt.Errorf("%+v", st.Presences)
		}
		return nil
	})
	return p
}

// report starts the report service; again, with what it had.
func (p *plant) report(t *testing.T) {
	t.Helper()
	p.service = p.start(p.t, p.vigoBin(), "report", "--data", p.path("data"), "--fleet", "acme", "--registry", p.registry, "--plain-http",
		"--trust-root", p.root, "--listen", p.addr)
	p.service.Says(t, "the report service is up", programs.Patience)
}

func (p *plant) startHub(t *testing.T) {
	t.Helper()
	p.hub = freeAddress(t, p.floor)
	writeFile(t, p.path("hub.token"), p.operator(t).Run("token", "create", "--hub", "--names", "plant"))
	hub := programs.Start(t, p.floor.Command(context.Background(), p.vigoBin(), "hub", "--data", p.path("hub"), "--listen", p.hub, "--poll", "300ms",
		"--name", "plant", "--server", "https://"+p.addr, "--token-file", p.path("hub.token")))
	hub.Says(t, "the hub is up", programs.Patience)
	p.await(t, "the hub", func(st report.Status) error {
		if len(st.Hubs) != 1 || st.Hubs[0].Presence != report.Live {
			return fmt.Errorf("%+v", st.Hubs)
		}
		return nil
	})
}

// operator is who runs the fleet, at its centre.
func (p *plant) operator(t *testing.T) programs.Operator {
	return programs.Operator{T: t, Command: func(args ...string) *exec.Cmd {
		return p.command(context.Background(), append([]string{p.vigoBin()}, args...)...)
	}}
}

// having are the names of the nodes that have a text in their file, in order. A machine that is off has nothing.
func (p *plant) having(t *testing.T, text string) []string {
	t.Helper()
	names := p.hosts.Having(t, motd, text)
	for _, box := range p.boxes {
		if out, _, code, err := box.Exec(t.Context(), "cat", "/"+motd); err == nil && code == 0 && strings.TrimSpace(out) == text {
			names = append(names, box.Name())
		}
	}
	slices.Sort(names)
	return names
}

// trial are the nodes that are the first to have what is new.
var trial = []string{"box-1", "box-2", "node-00"}

// onlyTrial is an error when others than the trial have a text.
func (p *plant) onlyTrial(t *testing.T, text string) error {
	t.Helper()
	if got := p.having(t, text); !slices.Equal(got, trial) {
		return fmt.Errorf("%q is on %v, want %v", text, got, trial)
	}
	return nil
}

// all waits until all nodes have a text.
func (p *plant) all(t *testing.T, text string) {
	t.Helper()
	p.text = text
	eventually(t, text+" on all", func(context.Context) error {
		if got := p.having(t, text); len(got) != nodes {
			return errors.New(strings.Join(got, " "))
		}
		return nil
	})
}

// present waits until the service knows a node to be so.
func (p *plant) present(t *testing.T, name string, as report.Presence) {
	t.Helper()
	p.operator(t).Await(name+" is "+string(as), func() error {
		if list := p.operator(t).Run("nodes", "--presence", string(as), "-o", "name"); !slices.Contains(strings.Fields(list), name) {
			return errors.New(list)
		}
		return nil
	})
}
