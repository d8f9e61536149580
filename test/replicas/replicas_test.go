package replicas

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/test/loopback"
	"vigo.dev/test/postgres"
	"vigo.dev/test/programs"
	"vigo.dev/test/self"
)

// unreached reports whether nobody answered, or somebody who could not keep anything in that moment.
func unreached(err error) bool {
	return errors.Is(err, api.ErrUnreachable) || errors.Is(err, api.ErrStore)
}

// A site is two report services on one database behind a balancer.
type site struct {
	t        *testing.T
	dir      string
	root     string // document that nodes pin
	server   *postgres.Server
	store    string // address of the database on it
	front    *balancer
	replicas []*programs.Process
	options  []string // of each replica, beside those that all have
	address  []string
}

func newSite(t *testing.T, options ...string) *site {
	t.Helper()
	server := postgres.For(t, "")
	s := &site{t: t, options: options, server: server, dir: t.TempDir(), front: newBalancer(t), replicas: make([]*programs.Process, 2), address: []string{loopback.Any(), loopback.Any()}}
	var err error
	s.store, err = server.Database(t.Context(), "vigo")
	must(t, err)
	s.root = run(t, self.Command(s.t, "vigo", "trust", "init", "--data", filepath.Join(s.dir, "controller")))
	s.start(0)
	must(t, os.Mkdir(s.data(1), 0o700))
	run(t, exec.Command("cp", "-a", filepath.Join(s.data(0), "ca"), s.data(1))) // as docs/separate-processes.md says
	s.start(1)
	s.front.serve(s.address...)
	return s
}

func (s *site) data(i int) string { return filepath.Join(s.dir, fmt.Sprint("replica-", i)) }

// start starts a replica and waits until it answers.
func (s *site) start(i int) {
	s.t.Helper()
	args := []string{"report", "--data", s.data(i), "--fleet", "acme", "--registry", "127.0.0.1:1/vigo/acme", "--trust-root", s.root,
		"--store", s.store, "--interval", "2s", "--listen", s.address[i], "--advertise", s.front.address()}
	s.replicas[i] = programs.Start(s.t, self.Command(s.t, "vigo", append(args, s.options...)...))
	s.replicas[i].Says(s.t, "vigo token create", programs.Patience)
	s.address[i] = strings.TrimPrefix(s.config(i).Server, "https://")
}

// config is what a replica's operator connects with.
func (s *site) config(i int) (c struct{ Server, Token string }) {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.data(i), "operator.json"))
	must(s.t, err)
	must(s.t, json.Unmarshal(data, &c))
	return c
}

func (s *site) url() string { return "https://" + s.front.address() }

// vigo is the program of an operator who knows the balancer only.
func (s *site) vigo(args ...string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, "operator.json")
	data, err := json.Marshal(map[string]string{"server": s.url(), "token": s.config(0).Token})
	must(s.t, err)
	must(s.t, os.WriteFile(path, data, 0o600))
	cmd := self.Command(s.t, "vigo", args...)
	cmd.Env = append(cmd.Env, "VIGO_CONFIG="+path)
	return run(s.t, cmd)
}

func (s *site) operator(i int) *api.OperatorClient {
	s.t.Helper()
	c, err := api.NewOperatorClient(s.url(), s.config(i).Token, time.Now)
	must(s.t, err)
	s.t.Cleanup(c.Close)
	return c
}

// TestKillReplicas kills either of two services at random moments.
func TestKillReplicas(t *testing.T) {
	t.Parallel()
	s, random := newSite(t), programs.Chance(t)
	token := s.vigo("token", "create", "--uses", "100")
	nodes := make([]*node, 20)
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	defer working.Wait()
	defer stop()
	for i := range nodes {
		nodes[i] = join(t, s.url(), token, fmt.Sprint("web-", i))
		working.Go(func() { nodes[i].work(ctx) })
	}
	sleeper := nodes[0].name
	watch := &watcher{client: s.operator(1), except: sleeper}
	working.Go(func() { watch.work(ctx) })
	programs.Await(t, "all nodes live", programs.Patience, func() bool { return watch.live() == len(nodes) })

	for round := range programs.Rounds(t) {
		victim := random.IntN(2)
		nodes[0].asleep.Store(true) // it becomes stale six seconds after
		pass(random, 8*time.Second)
		s.replicas[victim].End(syscall.SIGKILL)
		s.vigo("nodes") // through the balancer, to whoever is there
		programs.Await(t, "the news that a node is stale", programs.Patience, func() bool { return s.turns(sleeper) == 2*round+1 })
		if random.IntN(2) == 0 {
			s.start(victim)
		}
		nodes[0].asleep.Store(false)
		programs.Await(t, "the news that it is back", programs.Patience, func() bool { return s.turns(sleeper) == 2*round+2 })
		if s.replicas[victim].Ended() {
			s.start(victim)
		}
		watch.check(t, round)
	}
	programs.Await(t, "all nodes live at the end", programs.Patience, func() bool { return watch.live() == len(nodes) })
	stop()
	working.Wait()
	s.check(nodes)
	t.Logf("%d answers to the watcher, the longest wait for one %s", watch.answers, watch.longest)
	s.replay(nodes[1])
	for i, p := range s.replicas {
		if p.End(syscall.SIGTERM); p.Cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("stopping replica %d: %s", i, p.Cmd.ProcessState)
		}
	}
}

// check compares what was acknowledged with what the database holds.
func (s *site) check(nodes []*node) {
	s.t.Helper()
	there := map[string]bool{}
	for _, id := range s.column("SELECT node || ' ' || id FROM run") {
		there[id] = true
	}
	acked, failed := 0, 0
	for _, n := range nodes {
		acked, failed = acked+len(n.acked), failed+n.failed
		for _, id := range n.acked {
			if !there[n.name+" "+id] {
				s.t.Errorf("%s of %s was acknowledged and is lost", id, n.name)
			}
		}
		for _, err := range n.odd {
			s.t.Error(err)
		}
		if n != nodes[0] && s.turns(n.name) != 0 {
			s.t.Errorf("%s went on, and was called silent", n.name)
		}
	}
	s.t.Logf("%d runs were acknowledged, %d requests were not answered", acked, failed)
	if acked == 0 {
		s.t.Error("no run was acknowledged")
	}
	want := []string{"node.stale", "node.back"}
	for i, kind := range s.column("SELECT kind FROM event WHERE node = $1 AND kind <> 'node.enrolled' ORDER BY id", nodes[0].name) {
		if kind != want[i%2] {
			s.t.Errorf("event %d of the node that slept is %s", i, kind)
		}
	}
}

// turns is how often it was told that a node is silent, or back.
func (s *site) turns(node string) int {
	return len(s.column("SELECT kind FROM event WHERE node = $1 AND kind <> 'node.enrolled'", node))
}

func (s *site) column(query string, args ...any) []string {
	s.t.Helper()
	c, err := pgx.Connect(s.t.Context(), s.store)
	must(s.t, err)
	rows, err := c.Query(s.t.Context(), query, args...)
	must(s.t, err)
	list, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(s.t, errors.Join(err, c.Close(s.t.Context())))
	return list
}

// replay sends a request that one replica has accepted to both again.
func (s *site) replay(n *node) {
	s.t.Helper()
	body, err := json.Marshal(report.CheckIn{Node: n.name})
	must(s.t, err)
	number, err := n.count.Next()
	must(s.t, err)
	created := time.Now()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: n.roots, ServerName: identity.ServerName, Certificates: []tls.Certificate{n.cert}}}}
	defer client.CloseIdleConnections()
	send := func(i int) int {
		req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "https://"+s.address[i]+"/v1/checkin", bytes.NewReader(body))
		must(s.t, err)
		req.Header.Set("Content-Type", "application/json")
		must(s.t, identity.Sign(req, body, n.key.Signer(), identity.Stamp{KeyID: n.name, Counter: number, Created: created}))
		answer, err := client.Do(req)
		must(s.t, errors.Join(err, answer.Body.Close()))
		return answer.StatusCode
	}
	if code := send(0); code != http.StatusOK {
		s.t.Fatalf("a check-in is answered with %d", code)
	}
	programs.Await(s.t, "the check-in in the database", programs.Patience, func() bool {
		return slices.Equal(s.column("SELECT counter::text FROM hot WHERE node = $1", n.name), []string{fmt.Sprint(number)})
	})
	time.Sleep(time.Second) // the replicas poll each other this often, when nothing wakes them
	for i := range s.replicas {
		if code := send(i); code != http.StatusConflict {
			s.t.Errorf("replica %d answers a replay with %d", i, code)
		}
	}
}

// A watcher asks how the fleet is, without pause, as a dashboard does.
type watcher struct {
	client *api.OperatorClient
	except string // node that may be silent

	mu      sync.Mutex
	last    report.Status
	answers int
	longest time.Duration // between two answers
	wrong   []string
}

func (w *watcher) work(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for good := time.Now(); ctx.Err() == nil; {
		st, err := w.client.Status(ctx, 100)
		if w.note(ctx, st, err, time.Since(good)); err == nil {
			good = time.Now()
		}
		w.client.Close() // the next question goes to the next replica
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (w *watcher) note(ctx context.Context, st report.Status, err error, waited time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil && !unreached(err) {
			w.wrong = append(w.wrong, err.Error())
		}
		return
	}
	w.last, w.longest = st, max(w.longest, waited)
	w.answers++
	for _, p := range st.Problems {
		if p.Node != w.except {
			w.wrong = append(w.wrong, fmt.Sprintf("%s: %s %s", p.Kind, p.Node, p.Text))
		}
	}
}

func (w *watcher) live() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last.Presences.Live
}

func (w *watcher) check(t *testing.T, round int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.wrong) > 0 {
		t.Fatalf("round %d: people were told %q", round, w.wrong)
	}
	if w.longest > 10*time.Second {
		t.Errorf("round %d: people waited %s for an answer", round, w.longest)
	}
}
