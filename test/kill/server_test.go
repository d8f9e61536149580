package kill

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trust"
	"vigo.dev/test/programs"
)

// TestKillServer kills `vigo up`, which is controller, registry and report service, at random moments, from its start on,
// while commits come in and a node reports without pause.
func TestKillServer(t *testing.T) {
	t.Parallel()
	f, random := newFleet(t), programs.Chance(t)
	f.ready(f.up())
	f.enrol(f.listen)
	await(t, "the first bundle", f.published("version 0"))
	node := f.newReporter()
	f.current.kill()

	f.commit(1)
	began := time.Now()
	f.up()
	await(t, "the second bundle", f.published("version 1"))
	whole := time.Since(began)
	t.Logf("from the start to a published commit: %s", whole)
	f.current.kill()

	pointers := map[string]string{} // tag to digest
	version := 1
	for round := range programs.Rounds(t) {
		version++
		f.commit(version)
		node.set(true)
		if !f.up().killed(time.Duration(random.Int64N(2 * int64(whole)))) {
			t.Fatalf("round %d: it ended by itself:\n%s", round, f.current.stderr)
		}
		node.set(false)
		there := f.reported()
		for _, id := range node.acknowledged() {
			if !there[id] {
				t.Fatalf("round %d: run %s was acknowledged and is lost", round, id)
			}
		}
		f.wantPointers(round, pointers)
	}
	t.Logf("%d runs were acknowledged, %d pointers published", len(node.acknowledged()), len(pointers))

	f.ready(f.up())
	await(t, "the last commit", f.published(fmt.Sprint("version ", version)))
	node.set(true)
	await(t, "a run of the node and a pointer that it sees", node.served)
	node.set(false)
	node.wantAllAccepted()
	run(t, nil, "vigo-agent", "--root", f.root, "run", "--once")
	f.wantFiles(version)
	if err := f.current.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if out, err := f.current.wait(t); err != nil {
		t.Errorf("stopping it: %v\n%s%s", err, out, f.current.stderr)
	}
	if left := leftovers(t, f.data); len(left) != 0 {
		t.Errorf("temporary files are left: %q", left)
	}
}

// published says whether the channel names the commit with a subject.
func (f *fleet) published(subject string) func() (bool, error) {
	return func() (bool, error) {
		data, err := os.ReadFile(filepath.Join(f.data, "controller", "controller.json"))
		if err != nil {
			return false, err
		}
		var doc struct {
			Built    struct{ Subject, Commit string }
			Channels map[string]struct {
				Done    bool
				Pointer struct{ Stable struct{ Commit string } }
			}
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			return false, err
		}
		c := doc.Channels["stable"]
		return doc.Built.Subject == subject && c.Done && c.Pointer.Stable.Commit == doc.Built.Commit, nil
	}
}

// wantPointers reads what the registry's folder holds and fails when a number was given to two contents, or when the state
// of the controller cannot be read or has fallen behind what was published.
func (f *fleet) wantPointers(round int, known map[string]string) {
	f.t.Helper()
	var state struct {
		Channels map[string]struct{ Pointer struct{ Epoch, Seq int64 } }
	}
	data, err := os.ReadFile(filepath.Join(f.data, "controller", "controller.json"))
	if err == nil {
		err = json.Unmarshal(data, &state)
	}
	if err != nil {
		f.t.Fatalf("round %d: the state of the controller: %v", round, err)
	}
	var index struct {
		Manifests []struct {
			Digest      string
			Annotations map[string]string
		}
	}
	data, err = os.ReadFile(filepath.Join(f.data, "registry/vigo/bundles/index.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(data, &index)
	}
	if err != nil {
		f.t.Logf("round %d: the registry was cut off and mends itself at the next start: %v", round, err)
		return
	}
	for _, m := range index.Manifests {
		tag := m.Annotations["org.opencontainers.image.ref.name"]
		number, ok := strings.CutPrefix(tag, "channel-stable-")
		if !ok {
			continue
		}
		if was, ok := known[tag]; ok && was != m.Digest {
			f.t.Fatalf("round %d: %s was %s and is %s", round, tag, was, m.Digest)
		}
		known[tag] = m.Digest
		var epoch, seq int64
		if _, err := fmt.Sscanf(number, "%d.%d", &epoch, &seq); err != nil {
			f.t.Fatal(err)
		}
		if p := state.Channels["stable"].Pointer; p.Epoch < epoch || p.Epoch == epoch && p.Seq < seq {
			f.t.Fatalf("round %d: %s is published, the controller remembers %d.%d", round, tag, p.Epoch, p.Seq)
		}
	}
}

// reporter is the node as the service sees it: it delivers one run after another, each until it is acknowledged, and follows
// the channel.
type reporter struct {
	t      *testing.T
	state  agent.State
	memory trust.Memory
	verify *trust.Verifier

	mu    sync.Mutex
	on    *sync.Cond
	live  bool
	acked []string
	sent  int
	bad   []error
}

func (f *fleet) newReporter() *reporter {
	f.t.Helper()
	// A folder of its own, so that the agent of the node is not disturbed; the numbers of requests go by the clock.
	dir := filepath.Join(f.t.TempDir(), "state")
	if err := os.CopyFS(dir, os.DirFS(f.state)); err != nil {
		f.t.Fatal(err)
	}
	state, err := agent.OpenState(dir)
	if err != nil {
		f.t.Fatal(err)
	}
	r := &reporter{t: f.t, state: state}
	r.on = sync.NewCond(&r.mu)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Go(func() { r.work(ctx) })
	f.t.Cleanup(func() {
		cancel()
		r.set(true)
		all.Wait()
	})
	return r
}

// set lets the reporter work, or has it wait.
func (r *reporter) set(live bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live = live
	r.on.Broadcast()
}

func (r *reporter) acknowledged() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.acked...)
}

// connect starts the node anew: an agent that runs on leaves a registry alone for a while after it could not be reached, which is
// longer than a round.
func (r *reporter) connect(ctx context.Context) agent.Parts {
	parts, err := agent.Connect(ctx, r.state, agent.ConnectOptions{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		r.t.Error(err)
		return agent.Parts{}
	}
	r.verify = trust.NewVerifier(parts.Root, time.Now)
	return parts
}

func (r *reporter) work(ctx context.Context) {
	tick := time.NewTicker(5 * time.Millisecond) // a service that is down is asked this often
	defer tick.Stop()
	parts := r.connect(ctx)
	for ctx.Err() == nil {
		r.mu.Lock()
		for !r.live {
			r.on.Wait()
		}
		id := fmt.Sprint("run-", r.sent)
		r.mu.Unlock()
		if parts.Service == nil {
			return
		}
		err := parts.Service.Put(ctx, report.Run{ID: id, Node: "web-1", Started: time.Now(), Counts: report.Counts{Changed: 1},
			Results: []report.Result{{ID: "site/file:/x", Outcome: report.Changed}}})
		if err == nil {
			r.mu.Lock()
			r.acked = append(r.acked, id)
			r.sent++
			r.mu.Unlock()
			r.follow(ctx, parts.Origin)
			if parts.Origin.Offline() != nil {
				parts = r.connect(ctx)
			}
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// follow looks at the channel as an agent would: whatever is shown must be acceptable after what was shown before.
func (r *reporter) follow(ctx context.Context, origin bundle.Source) {
	p, payload, err := r.verify.Pointer(ctx, origin, "lab", "stable")
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.memory, err = r.memory.Accept(p, payload, time.Now())
	}
	if errors.As(err, new(*trust.Refusal)) {
		r.bad = append(r.bad, err)
	}
}

// served is whether a run of it was acknowledged and a pointer shown: a service that is killed too soon does neither.
func (r *reporter) served() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.acked) > 0 && r.memory.Seq > 0, fmt.Errorf("%d runs were acknowledged, the newest pointer that was seen is %d", len(r.acked), r.memory.Seq)
}

func (r *reporter) wantAllAccepted() {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.bad {
		r.t.Errorf("a node refuses: %v", err)
	}
}
