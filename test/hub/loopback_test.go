package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trust"
	"vigo.dev/test/loopback"
	"vigo.dev/test/programs"
)

// TestASiteGoesOnByItself has three nodes behind a hub and two behind another one that is behind the first. The uplink is cut
// while policy changes.
func TestASiteGoesOnByItself(t *testing.T) {
	t.Parallel()
	here := &place{}
	f := newFleet(t, here, "127.0.0.1")
	uplink := newCable(t, f.address)
	_, a := f.startHub(here, "plant", "127.0.0.1:0", uplink.address)
	_, b := f.startHub(here, "hall", "127.0.0.1:0", a)
	for i := range 5 {
		at := a
		if i > 2 {
			at = b
		}
		f.join(here, fmt.Sprint("web-", i), at)
	}
	f.converged(f.nodes...)
	f.status("all well at first", f.well)
	f.status("the hubs with the nodes behind them", func(st report.Status) error {
		if len(st.Hubs) != 2 || st.Hubs[0].Name != "hall" || st.Hubs[0].Nodes != 2 || st.Hubs[1].Nodes != 3 || st.Hubs[0].Mirrors["stable"] != st.Channels[0].Pointer {
			return fmt.Errorf("%+v", st.Hubs)
		}
		return nil
	})

	uplink.set(true)
	f.commit()
	f.commit()
	f.status("two dark hubs and not one stale node", func(st report.Status) error {
		if len(st.Problems) != 2 || st.Problems[0].Kind != "dark" || st.Problems[1].Kind != "dark" {
			return fmt.Errorf("%+v", st.Problems)
		}
		return nil
	})
	f.nodes[0].spoil(t)
	f.nodes[4].spoil(t)
	for _, n := range f.nodes {
		if n.motd() != "version 1" {
			t.Errorf("%s got %q through a cable that is cut", n.name, n.motd())
		}
	}

	uplink.set(false)
	f.converged(f.nodes...)
	f.status("all well again", f.well)
	f.arrived()
}

// TestAKilledHubLosesNothing kills a hub at random moments, from its start on, while policy changes, five nodes converge
// and report, and another delivers reports through it all the time.
func TestAKilledHubLosesNothing(t *testing.T) {
	t.Parallel()
	here := &place{}
	f := newFleet(t, here, "127.0.0.1")
	uplink := newCable(t, f.address)
	hub, address := f.startHub(here, "plant", loopback.Any(), uplink.address, "--site-only")
	for i := range 5 {
		f.join(here, fmt.Sprint("web-", i), address)
	}
	f.converged(f.nodes...)
	r := f.newReporter(f.enrol(here, "teller", address))

	for round := range programs.Rounds(t) {
		f.commit()
		uplink.set(round%3 == 2) // with and without an uplink
		hub.End(syscall.SIGKILL)
		hub = here.start(t, f.hub("plant", address, "", "--site-only"))
		time.Sleep(rand.N(1500 * time.Millisecond)) // in the middle of its start, or of its work
	}
	uplink.set(false)
	f.converged(f.nodes...)
	r.stop()
	f.status("all well in the end, and nothing waits", f.well)
	f.arrived()
	r.wantAllKept()
}

// A reporter is a node that delivers one run after another, each until it is acknowledged, and follows the channel.
type reporter struct {
	f      *fleet
	node   *node
	parts  agent.Parts
	memory trust.Memory
	verify *trust.Verifier
	cancel func()
	done   sync.WaitGroup

	acked []string
	bad   []error
}

func (f *fleet) newReporter(n *node) *reporter {
	f.t.Helper()
	state, err := agent.OpenState(n.root + "/var/lib/vigo-agent")
	if err != nil {
		f.t.Fatal(err)
	}
	r := &reporter{f: f, node: n}
	if r.parts, err = agent.Connect(f.t.Context(), state, agent.ConnectOptions{Log: slog.New(slog.DiscardHandler), Now: time.Now}); err != nil {
		f.t.Fatal(err)
	}
	r.verify = trust.NewVerifier(r.parts.Root, time.Now)
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	r.done.Go(func() { r.work(ctx) })
	f.t.Cleanup(r.stop)
	return r
}

func (r *reporter) stop() {
	r.cancel()
	r.done.Wait()
}

func (r *reporter) work(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond) // below what the service takes of one node in a minute
	defer tick.Stop()
	for ctx.Err() == nil {
		id := fmt.Sprint("run-", len(r.acked))
		err := r.parts.Service.Put(ctx, report.Run{ID: id, Node: r.node.name, Started: time.Now(), Counts: report.Counts{Changed: 1},
			Results: []report.Result{{ID: "site/file:/x", Outcome: report.Changed}}})
		if err == nil {
			r.acked = append(r.acked, id)
			r.follow(ctx)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// follow looks at the channel as an agent would: whatever is shown must be acceptable after what was shown before.
func (r *reporter) follow(ctx context.Context) {
	p, payload, err := r.verify.Pointer(ctx, r.parts.Origin, "acme", "stable")
	if err == nil {
		r.memory, err = r.memory.Accept(p, payload, time.Now())
	}
	if errors.As(err, new(*trust.Refusal)) {
		r.bad = append(r.bad, err)
	}
}

// wantAllKept reads what the centre, which has ended, has kept.
func (r *reporter) wantAllKept() {
	t := r.f.t
	t.Helper()
	db, err := sqlstore.Open(t.Context(), r.f.path("centre", "report.db"), sqlstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	runs, err := db.Runs(t.Context(), r.node.name, 1_000_000, false)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]int{}
	for _, run := range runs {
		there[run.ID]++
	}
	for _, id := range r.acked {
		if there[id] != 1 {
			t.Errorf("run %s was acknowledged by the hub and arrived %d times", id, there[id])
		}
	}
	for _, err := range r.bad {
		t.Errorf("what the hub shows is refused: %v", err)
	}
	if len(r.acked) == 0 || r.memory.Seq == 0 {
		t.Errorf("%d runs were acknowledged, the newest pointer that was seen is %d", len(r.acked), r.memory.Seq)
	}
	t.Logf("%d runs were acknowledged and arrived once; the newest pointer that was seen is %d", len(r.acked), r.memory.Seq)
}
