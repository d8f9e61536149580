package replicas

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// numbers are those of a node's requests.
type numbers struct{ n atomic.Int64 }

func (c *numbers) Next() (int64, error) { return c.n.Add(1), nil }

// A node checks in and delivers runs through the balancer as an agent does: each run until it is acknowledged.
type node struct {
	name   string
	key    identity.NodeKey
	roots  *x509.CertPool
	cert   tls.Certificate
	client *api.AgentClient
	count  *numbers
	asleep atomic.Bool

	mu     sync.Mutex
	acked  []string
	failed int // requests, all in all
	odd    []error
}

// every is how often a node checks in: six times in the interval it is told, so that it is live all the time, on a busy machine too.
const every = 300 * time.Millisecond

func join(t *testing.T, url, token, name string) *node {
	t.Helper()
	n := &node{name: name, count: &numbers{}}
	var err error
	n.key, err = identity.NewNodeKey()
	must(t, err)
	answer, err := api.Enrolling{URL: url, Token: token, Node: name, Agent: "test", Key: n.key, Now: time.Now}.Enroll(t.Context())
	must(t, err)
	n.cert, err = n.key.Certificate([]byte(answer.Certificate))
	must(t, err)
	n.roots = x509.NewCertPool()
	n.roots.AppendCertsFromPEM([]byte(answer.CA))
	n.client, err = api.NewAgentClient(api.AgentOptions{URL: url, Node: name, Roots: n.roots, Key: n.key, Counter: n.count, Now: time.Now,
		Timeout: 5 * time.Second, Certificate: func() (*tls.Certificate, error) { return &n.cert, nil }})
	must(t, err)
	t.Cleanup(n.client.Close)
	return n
}

// work works until ctx ends.
func (n *node) work(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for run := 0; ctx.Err() == nil; {
		if !n.asleep.Load() {
			id := fmt.Sprint("run-", run)
			_, err := n.client.CheckIn(ctx, report.CheckIn{Node: n.name, Run: report.Summary{ID: id, Started: time.Now(), Counts: report.Counts{Changed: 1}}})
			n.note(ctx, "", err)
			err = n.client.Put(ctx, report.Run{ID: id, Node: n.name, Started: time.Now(), Counts: report.Counts{Changed: 1},
				Results: []report.Result{{ID: "site/file:/x", Outcome: report.Changed}}})
			if n.note(ctx, id, err); err == nil {
				run++
			} else if n.client.Close(); errors.Is(err, api.ErrUnreachable) { // the next try goes to the next replica
				continue
			}
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// note keeps what came of a request. That nobody answered is to be expected; that somebody refused is not.
func (n *node) note(ctx context.Context, run string, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case err == nil && run != "":
		n.acked = append(n.acked, run)
	case err != nil && ctx.Err() == nil:
		n.failed++
		if !unreached(err) {
			n.odd = append(n.odd, fmt.Errorf("%s: %w", n.name, err))
		}
	}
}

func (n *node) acknowledged() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.acked)
}
