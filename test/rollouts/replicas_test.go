package rollouts

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"vigo.dev/pkg/report"
	"vigo.dev/pkg/rollout"
	"vigo.dev/test/loopback"
	"vigo.dev/test/postgres"
	"vigo.dev/test/programs"
)

// pair is two report services on one PostgreSQL, behind one address.
type pair struct {
	*apart
	store    string
	front    *cable
	services [2]*programs.Process
	at       [2]string
}

func newPair(t *testing.T, rollouts string) *pair {
	t.Helper()
	server := postgres.For(t, "")
	p := &pair{apart: prepareApart(t, rollouts), front: newCable(t), at: [2]string{loopback.Any(), loopback.Any()}}
	var err error
	if p.store, err = server.Database(t.Context(), "vigo"); err != nil {
		t.Fatal(err)
	}
	p.start(0)
	if err := os.Mkdir(p.data+"1", 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-a", filepath.Join(p.data, "ca"), p.data+"1").CombinedOutput(); err != nil { // as docs/separate-processes.md says
		t.Fatalf("%v: %s", err, out)
	}
	p.start(1)
	p.front.serve(p.at[:]...)
	for _, name := range []string{"controller.json", "operator.json"} {
		p.knowsFront(filepath.Join(p.data, name))
	}
	return p
}

// start starts one of the services; again, at the address it had.
func (p *pair) start(i int) {
	p.t.Helper()
	data := p.data
	if i == 1 {
		data += "1"
	}
	p.services[i], _ = p.reportAt(data, p.at[i], "--store", p.store, "--advertise", p.front.address)
	if strings.HasSuffix(p.at[i], ":0") {
		p.at[i] = strings.TrimPrefix(p.client(filepath.Join(data, "operator.json"))["server"].(string), "https://")
	}
}

// client is what a client of a service is told.
func (p *pair) client(path string) (config map[string]any) {
	p.t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return config
}

// knowsFront makes a client ask whichever service is there.
func (p *pair) knowsFront(path string) {
	p.t.Helper()
	config := p.client(path)
	config["server"] = "https://" + p.front.address
	data, err := json.Marshal(config)
	if err == nil {
		err = os.WriteFile(path, data, 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// TestTwoServices kills the service that leads while canaries soak: the other one goes on with the rollout where it was. Then
// the other way round.
func TestTwoServices(t *testing.T) {
	t.Parallel()
	p := newPair(t, strings.Replace(short(), "when: stage == \"trial\", size: 100%", "when: stage == \"trial\", size: 100%, gate: {soak: 15s}", 1))
	p.controller = p.control("controller")
	p.enrol(p.front.address, 4)
	p.begin()
	last := ""
	for i, motd := range []string{"two", "three"} {
		p.commit(motd, "")
		p.awaitStatus("both canaries are watched", func(s report.RolloutStatus) bool { return s.ID != last && s.Counts[rollout.Applied] == 2 })
		p.services[i].End(syscall.SIGKILL)
		s := p.awaitPhase(rollout.Completed, last)
		if s.Counts[rollout.Healthy] != 4 {
			t.Errorf("at its end there are %v", s.Counts)
		}
		last = s.ID
		p.await("every node has it", func() string { return p.missing(motd) })
		ended := 0
		for _, entry := range p.status("--log", "100").Log {
			if entry.To == rollout.Completed {
				ended++
			}
		}
		if ended != i+1 {
			t.Errorf("%d ends are told of after %d rollouts", ended, i+1)
		}
		p.start(i)
	}
}
