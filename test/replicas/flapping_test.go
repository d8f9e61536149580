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
	"vigo.dev/test/programs"
)

// flapping is how many nodes fall silent and come back.
const flapping = 1000

// interval is how often nodes are told to check in; they do so a little more often.
const interval = 10 * time.Second

// A sleeper is a node that now and then does not check in, and knows for how long the services did not hear of it.
type sleeper struct {
	*node
	sent     time.Time   // of the last check-in that was answered
	silences []time.Time // ends of those that are long enough for the services to call it stale
}

// heard takes note of a check-in that was answered. The service has heard it between its beginning and its answer.
func (n *sleeper) heard(sent, acked time.Time) {
	if !n.sent.IsZero() && acked.Sub(n.sent) > 3*interval {
		n.silences = append(n.silences, acked)
	}
	n.sent = sent
}

// since counts the silences that ended after a moment.
func (n *sleeper) since(moment time.Time) (many int) {
	for _, end := range n.silences {
		if end.After(moment) {
			many++
		}
	}
	return many
}

func wakeful(t *testing.T, s *site, token string) []*sleeper {
	t.Helper()
	all := make([]*sleeper, flapping)
	var joining sync.WaitGroup
	for worker := range 8 {
		joining.Go(func() {
			for i := worker; i < flapping; i += 8 {
				all[i] = &sleeper{node: join(t, s.url(), token, fmt.Sprintf("node-%03d", i))}
			}
		})
	}
	joining.Wait()
	return all
}

// beat has a node check in until ctx ends; who cannot reach a service tries the next one at once.
func (n *sleeper) beat(ctx context.Context) {
	tick := time.NewTicker(interval * 5 / 6)
	defer tick.Stop()
	for {
		for tries := 0; tries < 3 && !n.asleep.Load(); tries++ {
			sent := time.Now()
			_, err := n.client.CheckIn(ctx, report.CheckIn{Node: n.name})
			if n.note(ctx, "", err); ctx.Err() != nil {
				return
			}
			if err == nil {
				n.heard(sent, time.Now())
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
		if !p.Ended() && strings.Contains(p.Out.String(), leadsNow) {
			return i
		}
	}
	return -1
}

// kill kills the service that leads, and starts it again when the other one does.
func (s *site) kill() {
	s.t.Helper()
	programs.Await(s.t, "a leader", programs.Patience, func() bool { return s.leader() >= 0 })
	victim := s.leader()
	s.replicas[victim].End(syscall.SIGKILL)
	s.replicas[1-victim].Says(s.t, leadsNow, programs.Patience)
	s.start(victim)
}

// TestFlapping: 1,000 nodes fall silent and come back, and while people are told of it, the service that leads is killed with
// SIGKILL. Each transition is decided once, and is told once by webhooks, whose receiver knows them by their IDs; a mail comes again
// only if the server had taken it when the service was killed, at most one for each kill, with the same Message-ID.
//
// It is not run beside others: those have nodes that are stale after three seconds, which so many more would make true.
func TestFlapping(t *testing.T) {
	p := newPeople(t)
	s := newSite(t, "--interval", interval.String(), "--alerts", p.file)
	nodes := wakeful(t, s, s.vigo("token", "create", "--uses", fmt.Sprint(flapping)))
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	defer working.Wait()
	defer stop()
	for _, n := range nodes {
		working.Go(func() { n.beat(ctx) })
	}
	people := s.operator(0)
	must(t, people.PutAlertRules(t.Context(), []report.AlertRule{{Name: "flap", Event: report.EventStale, Severity: "warning", Leave: 2 * time.Second}}))
	live := func() bool {
		st, err := people.Status(t.Context(), 0)
		people.Close()
		return err == nil && st.Presences.Live+st.Presences.Late == flapping
	}
	programs.Await(t, "all nodes live", 3*time.Minute, live)
	began, kills := time.Now(), 0
	for round := range 2 {
		part := nodes
		if round == 1 {
			part = nodes[:flapping/2]
		}
		for i, kind := range []string{"firing", "resolved"} {
			for _, n := range part {
				n.asleep.Store(kind == "firing")
			}
			p.await(t, part, 2*round+i+1, 20)
			s.kill()
			kills++
			p.await(t, part, 2*round+i+1, len(part))
		}
	}
	programs.Await(t, "all nodes live at the end", 3*time.Minute, live)
	programs.Await(t, "people to be told that all is over", 4*time.Minute, func() bool { return p.over(nodes) })
	stop()
	working.Wait()
	p.check(t, nodes, began, kills)
}

// await waits until people are told so much of enough nodes. They may take long on a busy machine, but not stand still.
func (p *people) await(t *testing.T, nodes []*sleeper, many, enough int) {
	t.Helper()
	for told := 0; told < enough; {
		programs.AwaitNil(t, "people to be told of more", 4*time.Minute, func() error {
			now := p.all(nodes, many)
			if now <= told {
				return fmt.Errorf("they were told %d times of %d of %d nodes", many, told, len(nodes))
			}
			told = now
			return nil
		})
	}
}

func (p *people) check(t *testing.T, nodes []*sleeper, began time.Time, kills int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	wrong, all, meant := 0, 0, 0
	for i, n := range nodes {
		byHook := p.hooks(n.name)
		turns, least := len(byHook)/2, 1
		if i < flapping/2 {
			least = 2
		}
		meant += 2 * least
		ok := len(byHook)%2 == 0 && slices.Equal(byHook, p.byMail[n.name]) && turns >= least && turns <= n.since(began)
		for at, kind := range byHook {
			ok = ok && kind == []string{"firing", "resolved"}[at%2]
		}
		if !ok {
			if wrong++; wrong < 10 {
				t.Errorf("%s: webhooks %q, mail %q; it was silent %d times", n.name, byHook, p.byMail[n.name], n.since(began))
			}
		}
		all += len(byHook)
	}
	if wrong > 0 || len(p.bad) > 0 || p.mailsAgain > kills || p.again > kills {
		t.Errorf("%d nodes differ; %v; after %d kills %d mails and %d webhooks came again", wrong, p.bad, kills, p.mailsAgain, p.again)
	}
	t.Logf("%d transitions of %d nodes (%d were meant; a busy machine makes more) in %d webhooks and %d mails; after %d kills %d webhooks and %d mails came again with their ID",
		all, flapping, meant, len(p.seen), p.mails, kills, p.again, p.mailsAgain)
}
