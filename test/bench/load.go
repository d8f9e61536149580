package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/trait"
)

// loadCommand makes this program the load generator. It reads a loadSpec, connects every node, answers with a
// phaseResult, and then does so for each phase it reads.
const loadCommand = "generate-load"

type loadSpec struct {
	URL   string
	CA    []byte // PEM
	Nodes []loadNode
}

type loadNode struct {
	Name             string
	Key, Certificate []byte // PEM
}

// A phase is Each check-ins of every node, made by Workers at once, at most Rate a second in all (0: no limit).
type phase struct{ Each, Workers, Rate int }

type phaseResult struct {
	Done     int
	Seconds  float64
	P50, P99 float64 // ms from sending to the whole answer
}

// A player is one node as the service sees it.
type player struct {
	client  *api.AgentClient
	checkIn report.CheckIn
	count   atomic.Int64
}

// Next implements api.Counter.
func (p *player) Next() (int64, error) { return p.count.Add(1), nil }

func generateLoad(in io.Reader, out io.Writer) error {
	dec, enc := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var spec loadSpec
	if err := dec.Decode(&spec); err != nil {
		return err
	}
	players, err := newPlayers(spec)
	if err != nil {
		return err
	}
	if err := each(players, 16, (*player).introduce); err != nil {
		return err
	}
	if err := enc.Encode(phaseResult{}); err != nil {
		return err
	}
	for {
		var ph phase
		if err := dec.Decode(&ph); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		result, err := playPhase(players, ph)
		if err != nil {
			return err
		}
		if err := enc.Encode(result); err != nil {
			return err
		}
	}
}

func newPlayers(spec loadSpec) ([]*player, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(spec.CA) {
		return nil, errors.New("the authority cannot be read")
	}
	players := make([]*player, len(spec.Nodes))
	for i, n := range spec.Nodes {
		key, err := identity.ParseNodeKey(n.Key)
		if err != nil {
			return nil, err
		}
		cert, err := key.Certificate(n.Certificate)
		if err != nil {
			return nil, err
		}
		p := &player{checkIn: checkInOf(n.Name)}
		if p.client, err = api.NewAgentClient(api.AgentOptions{URL: spec.URL, Node: n.Name, Roots: roots, Key: key, Counter: p,
			Certificate: func() (*tls.Certificate, error) { return &cert, nil }, Now: time.Now}); err != nil {
			return nil, err
		}
		players[i] = p
	}
	return players, nil
}

// checkInOf is what a node with 247 resources in line says.
func checkInOf(name string) report.CheckIn {
	now := time.Now().UTC()
	return report.CheckIn{Node: name, Agent: "bench", Interval: 30 * time.Second, Channel: "stable", Pointer: "1.1", Age: time.Minute,
		Bundle: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		Run:    report.Summary{ID: "019a00000000-0123456789abcdef", Started: now, Took: 8 * time.Millisecond, Counts: report.Counts{OK: 247}}}
}

// introduce connects a node and sends the traits the service asks for, so that all later check-ins are those of every
// day.
func (p *player) introduce(ctx context.Context) error {
	facet, err := trait.FacetOf("os", map[string]string{"id": "debian", "family": "debian", "version": "12"})
	if err != nil {
		return err
	}
	digests := map[string]string{"os": facet.Digest}
	p.checkIn.Traits, p.checkIn.Facets = trait.Root(digests), digests
	answer, err := p.client.CheckIn(ctx, p.checkIn)
	if err != nil {
		return err
	}
	if len(answer.Need) > 0 {
		if err := p.client.PutFacets(ctx, report.Facets{Node: p.checkIn.Node, Facets: []trait.Facet{facet}}); err != nil {
			return err
		}
	}
	p.checkIn.Facets = nil
	if answer, err = p.client.CheckIn(ctx, p.checkIn); err != nil {
		return err
	}
	if answer.Names {
		return errors.New("the service does not know the traits it was sent")
	}
	return nil
}

// each calls do for every player, some at once, and returns the errors.
func each(players []*player, atOnce int, do func(*player, context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var next atomic.Int64
	errs := make([]error, atOnce)
	var all sync.WaitGroup
	for worker := range atOnce {
		all.Go(func() {
			for errs[worker] == nil {
				i := int(next.Add(1)) - 1
				if i >= len(players) {
					return
				}
				errs[worker] = do(players[i], ctx)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// playPhase makes the check-ins of a phase; every node in turn, so that none does so twice at once.
func playPhase(players []*player, ph phase) (phaseResult, error) {
	var mu sync.Mutex
	var took []time.Duration
	began := time.Now()
	var pace <-chan time.Time
	if ph.Rate > 0 {
		ticker := time.NewTicker(time.Second / time.Duration(ph.Rate))
		defer ticker.Stop()
		pace = ticker.C
	}
	for range ph.Each {
		err := each(players, ph.Workers, func(p *player, ctx context.Context) error {
			if pace != nil {
				<-pace
			}
			sent := time.Now()
			p.checkIn.Run.Started = sent.UTC()
			if _, err := p.client.CheckIn(ctx, p.checkIn); err != nil {
				return fmt.Errorf("%s: %w", p.checkIn.Node, err)
			}
			d := time.Since(sent)
			mu.Lock()
			took = append(took, d)
			mu.Unlock()
			return nil
		})
		if err != nil {
			return phaseResult{}, err
		}
	}
	seconds := time.Since(began).Seconds()
	slices.Sort(took)
	at := func(q int) float64 { return float64(took[len(took)*q/100].Microseconds()) / 1000 }
	return phaseResult{Done: len(took), Seconds: seconds, P50: at(50), P99: at(99)}, nil
}
