package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/reporting"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/traits"
)

const (
	// simulated is how many nodes check in, each over a connection of its own; a node may do so 240 times a minute.
	simulated = 512
	busyEach  = 100 // check-ins of each node as fast as the service answers
	calmEach  = 20  // at a steady rate
	calmRate  = 1000
)

// checkIns measures what a check-in costs the service in CPU time: `vigo up` in one process, its nodes in another, over
// mTLS connections that stay open, each request signed.
func (b *bench) checkIns(ctx context.Context) (err error) {
	section := fmt.Sprintf("Server CPU per check-in: mTLS, signed, durable, %d nodes on connections that stay open", simulated)
	repository := b.path("small")
	if err := errors.Join(writeAll(repository, map[string]string{"fleet.yaml": "kind: Fleet\nname: bench\nchannels: {stable: {}}\n"}), gitCommit(ctx, repository, "first")); err != nil {
		return err
	}
	nodes, err := enrolMany(ctx, b.path("checkin-data"), simulated)
	if err != nil {
		return fmt.Errorf("enrolling %d nodes: %w", simulated, err)
	}
	s, err := b.up(ctx, "checkin", repository, "--fleet", "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(s.explain(err), s.stop()) }()
	_, ca, err := s.authority()
	if err != nil {
		return err
	}
	load, err := startLoad(ctx, loadSpec{URL: "https://" + s.address, CA: ca, Nodes: nodes})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, load.end()) }()
	verify := verification()
	busy, err := load.measure(s.cmd.Process.Pid, phase{Each: busyEach, Workers: 128})
	if err != nil {
		return err
	}
	calm, err := load.measure(s.cmd.Process.Pid, phase{Each: calmEach, Workers: 128, Rate: calmRate})
	if err != nil {
		return err
	}
	b.found.add(
		atMost(figure{Section: section, What: "CPU per check-in, busy", Who: "vigo up", Value: busy.each, Unit: "µs",
			Note: fmt.Sprintf("%.0f check-ins a second, p50 %.1f ms, p99 %.1f ms; the load shares the CPUs", busy.rate, busy.P50, busy.P99)}, 150),
		figure{Section: section, What: "CPU per check-in, calm", Who: "vigo up", Value: calm.each, Unit: "µs",
			Note: fmt.Sprintf("at %.0f a second, p50 %.1f ms, p99 %.1f ms: less is shared between them", calm.rate, calm.P50, calm.P99)},
		figure{Section: section, What: "one Ed25519 verification", Who: "crypto/ed25519", Value: verify, Unit: "µs", Ratio: verify / busy.each,
			Note: "the least a signed check-in can cost"})
	return nil
}

// verification is what one Ed25519 verification takes in µs: the least of many batches, so that others on the machine
// do not count.
func verification() float64 {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // the system has no randomness
	}
	message := make([]byte, 256)
	sig := ed25519.Sign(key, message)
	const batches, size = 50, 20
	least := time.Hour
	for range batches {
		began := time.Now()
		for range size {
			if !ed25519.Verify(pub, message, sig) {
				panic("a good signature is refused")
			}
		}
		least = min(least, time.Since(began)/size)
	}
	return float64(least.Nanoseconds()) / 1000
}

// enrolMany enrols nodes through the report service itself, before it runs as a process: over the network only so many
// may enrol in a minute.
func enrolMany(ctx context.Context, data string, n int) (nodes []loadNode, err error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	ca, err := identity.OpenCA(filepath.Join(data, "ca"), "bench", time.Now())
	if err != nil {
		return nil, err
	}
	db, err := sqlstore.Open(ctx, filepath.Join(data, "report.db"), sqlstore.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	schema := expr.NewSchema()
	traits.Schema(schema)
	service, err := reporting.New(ctx, reporting.Config{DB: db, CA: ca, Fleet: "bench", Channel: "stable", Interval: 30 * time.Second, Schema: schema,
		Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		return nil, err
	}
	token, err := service.CreateToken(ctx, api.TokenRequest{Life: time.Hour})
	if err != nil {
		return nil, err
	}
	for i := range n {
		node := loadNode{Name: fmt.Sprintf("node-%04d", i)}
		key, err := identity.NewNodeKey()
		if err != nil {
			return nil, err
		}
		csr, err := key.CSR(node.Name)
		if err != nil {
			return nil, err
		}
		answer, err := service.Enroll(ctx, api.EnrollRequest{Token: token.Token, Node: node.Name, CSR: string(csr)})
		if err != nil {
			return nil, err
		}
		if node.Key, err = key.PEM(); err != nil {
			return nil, err
		}
		node.Certificate = []byte(answer.Certificate)
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// A loadProcess is the process that plays the nodes.
type loadProcess struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startLoad starts the process and waits until every node is connected and known.
func startLoad(ctx context.Context, spec loadSpec) (*loadProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, loadCommand)
	cmd.Stderr = os.Stderr
	p := &loadProcess{cmd: cmd}
	if p.in, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var ready phaseResult
	if err := errors.Join(json.NewEncoder(p.in).Encode(spec), p.receive(&ready)); err != nil {
		return nil, errors.Join(err, p.end())
	}
	return p, nil
}

func (p *loadProcess) receive(into *phaseResult) error {
	line, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the load generator has ended: %w", err)
	}
	return json.Unmarshal(line, into)
}

// cost is what a phase cost the service.
type cost struct {
	phaseResult
	each float64 // CPU of the service per check-in, in µs
	rate float64 // check-ins a second
}

// measure runs one phase and reads what the service used meanwhile.
func (p *loadProcess) measure(server int, ph phase) (cost, error) {
	before, err := cpuOf(server)
	if err != nil {
		return cost{}, err
	}
	var c cost
	if err := errors.Join(json.NewEncoder(p.in).Encode(ph), p.receive(&c.phaseResult)); err != nil {
		return cost{}, err
	}
	after, err := cpuOf(server)
	if err != nil {
		return cost{}, err
	}
	c.each = float64((after - before).Microseconds()) / float64(c.Done)
	c.rate = float64(c.Done) / c.Seconds
	return c, nil
}

func (p *loadProcess) end() error { return errors.Join(p.in.Close(), p.cmd.Wait()) }
