package replicas

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"vigo.dev/pkg/report"
)

// flapping is how many nodes fall silent and come back.
const flapping = 1000

// A flock is nodes that check in every so often, unless they are asleep.
type flock struct {
	nodes []*node
	names []string
}

func newFlock(t *testing.T, s *site, token string) *flock {
	t.Helper()
	f := &flock{nodes: make([]*node, flapping), names: make([]string, flapping)}
	var joining sync.WaitGroup
	for worker := range 8 {
		joining.Go(func() {
			for i := worker; i < flapping; i += 8 {
				f.names[i] = fmt.Sprintf("node-%03d", i)
				f.nodes[i] = join(t, s.url(), token, f.names[i])
			}
		})
	}
	joining.Wait()
	return f
}

// beat has a node check in until ctx ends; who cannot reach a service tries the next one at once.
func (n *node) beat(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		for tries := 0; tries < 3 && !n.asleep.Load(); tries++ {
			_, err := n.client.CheckIn(ctx, report.CheckIn{Node: n.name})
			if n.note(ctx, "", err); err == nil || ctx.Err() != nil {
				break
			}
			n.client.Close()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// leader is which of the services leads.
func (s *site) leader() int {
	for i, p := range s.replicas {
		if !p.ended() && strings.Contains(p.out.String(), leadsNow) {
			return i
		}
	}
	return -1
}

// kill kills the service that leads, and starts it again when the other one does.
func (s *site) kill() {
	s.t.Helper()
	await(s.t, "a leader", func() bool { return s.leader() >= 0 })
	victim := s.leader()
	s.replicas[victim].end(syscall.SIGKILL)
	s.replicas[1-victim].says(s.t, leadsNow)
	s.start(victim)
}

// TestFlapping: 1,000 nodes fall silent and come back, and while people are told of it, the service that leads is killed with
// SIGKILL. Each transition is decided once, and is told once by webhooks, whose receiver knows them by their IDs; a mail comes again
// only if the server had taken it when the service was killed, at most one for each kill, with the same Message-ID.
func TestFlapping(t *testing.T) {
	t.Parallel()
	p := newPeople(t)
	s := newSite(t, "--interval", "6s", "--alerts", p.file)
	f := newFlock(t, s, s.vigo("token", "create", "--uses", fmt.Sprint(flapping)))
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	defer working.Wait()
	defer stop()
	for _, n := range f.nodes {
		working.Go(func() { n.beat(ctx, 5*time.Second) })
	}
	people := s.operator(0)
	must(t, people.PutAlertRules(t.Context(), []report.AlertRule{{Name: "flap", Event: report.EventStale, Severity: "warning", Leave: 2 * time.Second}}))
	live := func() bool {
		st, err := people.Status(t.Context(), 0)
		people.Close()
		return err == nil && st.Presences.Live+st.Presences.Late == flapping
	}
	await(t, "all nodes live", live)
	want := make([]int, flapping) // transitions of each
	kills := 0
	for round := range 2 {
		for _, asleep := range []bool{true, false} {
			var part []string
			for i, n := range f.nodes {
				if round == 0 || i%2 == 0 { // all, and then every other
					n.asleep.Store(asleep)
					want[i]++
					part = append(part, n.name)
				}
			}
			many := 2*round + 1
			if !asleep {
				many++
			}
			awaitFor(t, 3*time.Minute, "people to be told of some", func() bool { return p.all(part, many) >= 20 })
			s.kill()
			kills++
			awaitFor(t, 3*time.Minute, "people to be told of all", func() bool { return p.all(part, many) == len(part) })
		}
	}
	await(t, "all nodes live at the end", live)
	stop()
	working.Wait()
	p.check(t, f, want, kills)
}

func (p *people) check(t *testing.T, f *flock, want []int, kills int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	wrong := 0
	for i, name := range f.names {
		kinds := []string{"firing", "resolved", "firing", "resolved"}[:want[i]]
		if got := p.hooks(name); !slices.Equal(got, kinds) || !slices.Equal(p.byMail[name], kinds) {
			if wrong++; wrong < 10 {
				t.Errorf("%s: webhooks %q, mail %q, want %q", name, got, p.byMail[name], kinds)
			}
		}
	}
	if wrong > 0 || len(p.bad) > 0 || p.mailsAgain > kills || p.again > kills {
		t.Errorf("%d nodes differ; %v; after %d kills %d mails and %d webhooks came again", wrong, p.bad, kills, p.mailsAgain, p.again)
	}
	all := 0
	for _, n := range want {
		all += n
	}
	t.Logf("%d transitions of %d nodes in %d webhooks and %d mails; after %d kills %d webhooks and %d mails came again with their ID",
		all, flapping, len(p.seen), p.mails, kills, p.again, p.mailsAgain)
}
