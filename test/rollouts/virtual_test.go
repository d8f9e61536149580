package rollouts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/gitsource/gitsourcetest"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/reporting"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/rollout"
	"vigo.dev/pkg/rollout/sim"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/traits"
	"vigo.dev/pkg/up"
)

// A site is a report service with its store, a controller with its repository, registry and keys, and simulated agents. It
// lives in a bubble of package synctest: its clock is counted, and goes on when nothing is left to do.
type site struct {
	t     *testing.T
	dir   string
	repo  *gitsourcetest.Repo
	store *ocistore.Layout
	keys  *controller.Keyring
	ca    *identity.CA
	db    *sqlstore.DB
	down  func() // ends the service
	now   atomic.Pointer[reporting.Service]
	began time.Time
	moved atomic.Bool // the controller has done something since the pointer was read
	last  bundle.Pointer
	net   *network // nil: check-ins are calls
}

// every is how often agents of a site report.
const every = 30 * time.Second

func newSite(t *testing.T, rollouts string, net *network) *site {
	s := &site{t: t, net: net, dir: t.TempDir(), repo: gitsourcetest.New(t), began: time.Now()}
	s.repo.Put(map[string]string{
		"fleet.yaml":               "kind: Fleet\nname: lab\ninterval: 30s\nlabels: [stage]\n",
		"roles/all.yaml":           "kind: Role\nmodules: [motd]\n",
		"modules/motd/module.yaml": motd("one"),
		"rollouts/stable.yaml":     rollouts,
	}).Commit("one")
	s.store = ocistore.NewLayout(filepath.Join(s.dir, "registry"))
	var err error
	s.keys, err = up.Keys(t.Context(), s.dir, controller.KeyringOptions{Now: time.Now})
	must(t, err)
	s.ca, err = identity.NewCA("lab", time.Now())
	must(t, err)
	s.begin()
	return s
}

func motd(text string) string {
	return "kind: Module\nabout: What people read.\nresources:\n  - file: /etc/motd\n    content: \"" + text + "\\n\"\n"
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin starts the report service on what its store holds.
func (s *site) begin() {
	var err error
	s.db, err = sqlstore.Open(s.t.Context(), filepath.Join(s.dir, "report.db"), sqlstore.Options{Flush: 10 * time.Second})
	must(s.t, err)
	schema := expr.NewSchema()
	traits.Schema(schema)
	svc, err := reporting.New(s.t.Context(), reporting.Config{DB: s.db, CA: s.ca, Fleet: "lab", Channel: "stable", Interval: every, Registry: []string{"registry/lab"},
		TrustRoot: s.keys.Root(), Schema: schema, Log: slog.New(slog.DiscardHandler), Now: time.Now})
	must(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	s.now.Store(svc)
	go func() { ended <- svc.Run(ctx) }()
	deaf := s.net.serve(svc, s.ca)
	s.down = func() {
		s.now.Store(nil)
		deaf()
		cancel()
		must(s.t, errors.Join(<-ended, s.db.Close()))
	}
}

// Roll implements controller.Judge, as the client of a service that may be down does.
func (s *site) Roll(ctx context.Context, plan api.RolloutPlan) (rollout.Signed, error) {
	svc := s.now.Load()
	if svc == nil {
		return rollout.Signed{}, errors.New("connection refused")
	}
	return svc.Roll(ctx, plan)
}

// Note implements controller.Listener.
func (s *site) Note(controller.Status) { s.moved.Store(true) }

// publish runs the controller until the test ends.
func (s *site) publish() (end func()) {
	schema := expr.NewSchema()
	traits.Schema(schema)
	language := catalog.Language{Kinds: resources.Registry(), Schema: schema, Guardrails: resources.Guardrails(resources.UsualAgent())}
	p, err := up.NewPublisher(up.PublisherConfig{Data: s.dir, Keys: s.keys, Git: s.repo.Dir, Store: s.store, Judge: s, Language: language, Version: "test", Listener: s,
		Log: slog.New(slog.DiscardHandler), Now: time.Now})
	must(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) }) // ends with its context
	return func() {
		cancel()
		running.Wait()
		must(s.t, p.Close())
	}
}

// pointer is what agents read from the registry, with its signature verified.
func (s *site) pointer() bundle.Pointer {
	if s.moved.Swap(false) {
		p, _, _, err := s.keys.Current(s.t.Context(), s.store, "lab", "stable")
		must(s.t, err)
		s.last = p
	}
	return s.last
}

// enrol gives every node a place in the fleet; those of the first stage have the label of it.
func (s *site) enrol(members []sim.Member) {
	svc := s.now.Load()
	var tokens [2]string
	for i := range tokens {
		answer, err := svc.CreateToken(s.t.Context(), api.TokenRequest{Labels: map[string]string{"stage": []string{"rest", "trial"}[i]}})
		must(s.t, err)
		tokens[i] = answer.Token
	}
	key, err := identity.NewNodeKey() // one for all: only names count here
	must(s.t, err)
	var group errgroup.Group
	group.SetLimit(256)
	for _, m := range members {
		group.Go(func() error {
			csr, err := key.CSR(m.Name)
			if err != nil {
				return err
			}
			answer, err := svc.Enroll(s.t.Context(), api.EnrollRequest{Token: tokens[m.Stages&1], Node: m.Name, CSR: string(csr)})
			if err != nil {
				return err
			}
			return s.net.join(m.Name, key, answer, s.ca)
		})
	}
	must(s.t, group.Wait())
}

// live has every node take its turns until a moment, in the order of their places in the interval. What is due at moments of
// its own is done between them.
func (s *site) live(nodes []*sim.Node, outages []sim.Outage, start, until time.Time, due map[time.Time]func()) {
	slices.SortFunc(nodes, func(a, b *sim.Node) int { return cmp.Compare(a.Fate.Phase, b.Fate.Phase) })
	moments := slices.SortedFunc(mapKeys(due), time.Time.Compare)
	for cycle := time.Since(s.began).Truncate(every); !s.over(); cycle += every {
		for _, n := range nodes {
			at := s.began.Add(cycle + n.Fate.Phase)
			for len(moments) > 0 && moments[0].Before(at) {
				time.Sleep(time.Until(moments[0]))
				due[moments[0]]()
				moments = moments[1:]
			}
			if at.After(until) {
				return
			}
			if at.Before(time.Now()) {
				continue // the cycle had begun already
			}
			time.Sleep(time.Until(at))
			if n.CutOff(outages, at.Sub(start)) {
				continue
			}
			p := s.pointer()
			for i, says := range n.Turn(p.Signed()) {
				s.checkIn(n, p, says, fmt.Sprintf("%s-%d-%d", n.Name, cycle, i))
			}
		}
	}
}

// over says that a rollout has begun, and has come to its end or stands still until somebody comes.
func (s *site) over() bool {
	svc := s.now.Load()
	if svc == nil {
		return false
	}
	list, err := svc.Rollouts(s.t.Context(), "", 0)
	must(s.t, err)
	return len(list) > 0 && list[0].Phase != rollout.Running && list[0].Phase != rollout.Reverting
}

func mapKeys(m map[time.Time]func()) func(func(time.Time) bool) {
	return func(yield func(time.Time) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// checkIn has the service hear of a node, unless it is down.
func (s *site) checkIn(n *sim.Node, p bundle.Pointer, says sim.Says, run string) {
	svc := s.now.Load()
	if svc == nil {
		return
	}
	c := report.CheckIn{Node: n.Name, Interval: every, Channel: "stable", Pointer: p.Version(), Bundle: says.Bundle, Adopting: says.Adopting,
		Run: report.Summary{ID: run, Started: time.Now(), Counts: report.Counts{OK: 1}}}
	if says.Failed {
		c.Run.Counts = report.Counts{Failed: 1}
	}
	if says.Aside != "" {
		c.Refusals = []report.Refusal{{Name: "aside", What: says.Aside, Count: 1}}
	}
	if _, err := s.net.agent(n.Name, svc).CheckIn(s.t.Context(), c); err != nil {
		s.t.Errorf("%s checks in: %v", n.Name, err)
	}
}
