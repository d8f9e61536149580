package kill

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/agent"
	"vigo.dev/pkg/lease"
	"vigo.dev/pkg/rollout"
	"vigo.dev/test/programs"
)

// queue is nodes that want to reboot, one at a time.
type queue struct {
	mu      sync.Mutex
	holders map[string]bool // who was told that it may, and has not said that it does not
	granted int
	fault   string
}

// TestKillLeases kills `vigo up` at random moments, while three nodes of a group ask for the one turn there is and give it back:
// never do two of them have it, and it is given again after the last start.
func TestKillLeases(t *testing.T) {
	t.Parallel()
	f, random := newFleet(t), programs.Chance(t)
	f.ready(f.up())
	q := &queue{holders: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()
	for i := range 3 {
		leaser := f.leaser(fmt.Sprint("db-", i))
		asking.Go(func() { q.work(ctx, fmt.Sprint("db-", i), leaser) })
	}
	await(t, "a turn", q.past(0))
	f.current.kill()
	for round := range min(programs.Rounds(t), 15) {
		if !f.up().killed(time.Duration(random.Int64N(int64(3 * time.Second)))) {
			t.Fatalf("round %d: it ended by itself:\n%s", round, f.current.stderr)
		}
	}
	f.ready(f.up())
	q.mu.Lock()
	before := q.granted
	q.mu.Unlock()
	await(t, "a turn after the last start", q.past(before))
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.fault != "" {
		t.Error(q.fault)
	}
	t.Logf("%d turns were given", q.granted)
}

// leaser is what one node asks for its turn with.
func (f *fleet) leaser(name string) agent.Leaser {
	f.t.Helper()
	root := f.t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc"), 0o755); err != nil {
		f.t.Fatal(err)
	}
	token := strings.TrimSpace(run(f.t, f.env(), "vigo", "token", "create"))
	run(f.t, nil, "vigo-agent", "--root", root, "enroll", "--server", "https://"+f.listen, "--token", token, "--node", name)
	state, err := agent.OpenState(filepath.Join(root, "var/lib/vigo-agent"))
	if err != nil {
		f.t.Fatal(err)
	}
	parts, err := agent.Connect(f.t.Context(), state, agent.ConnectOptions{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	if err != nil {
		f.t.Fatal(err)
	}
	return parts.Leaser
}

func (q *queue) past(n int) func() (bool, error) {
	return func() (bool, error) {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.granted > n, nil
	}
}

// work asks for the turn and gives it back until ctx ends. A node says that it does not reboot only when it will not.
func (q *queue) work(ctx context.Context, name string, leaser agent.Leaser) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ask := lease.Ask{Node: name, Boot: "boot of " + name, Group: "db", AtOnce: rollout.Share{Nodes: 1}, Term: time.Hour, Why: "test"}
	for ctx.Err() == nil {
		answer, err := leaser.AskReboot(ctx, ask)
		if err == nil && answer.Granted {
			q.take(name)
			<-tick.C
			q.leave(name)
			back := ask
			back.Back = true
			_, _ = leaser.AskReboot(ctx, back) // unheard, it has its place still, and asks again
		}
		<-tick.C
	}
}

func (q *queue) take(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.granted++
	q.holders[name] = true
	if len(q.holders) > 1 {
		q.fault = fmt.Sprintf("after %d turns several may reboot: %v", q.granted, q.holders)
	}
}

func (q *queue) leave(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.holders, name)
}
