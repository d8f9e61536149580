package fleetsim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// A link is how a node reaches the service.
type link interface {
	CheckIn(ctx context.Context, in report.CheckIn) (report.Answer, error)
	PutRuns(ctx context.Context, runs []report.Run) error
	PutFacets(ctx context.Context, f report.Facets) error
	Close()
}

// reserve is how many files a process keeps open beside the connections of nodes.
const reserve = 200

// openFiles raises the limit of open files as far as this process may, and returns it.
func openFiles() (int, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("reading the limit of open files: %w", err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return 0, fmt.Errorf("raising the limit of open files: %w", err)
		}
	}
	return int(min(limit.Cur, 1<<30)), nil
}

// traffic counts the bytes of connections, those of TLS included.
type traffic struct{ sent, received atomic.Int64 }

func (t *traffic) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return counted{conn, t}, nil
}

type counted struct {
	net.Conn
	t *traffic
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.t.received.Add(int64(n))
	return n, err
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.t.sent.Add(int64(n))
	return n, err
}

// counter gives the numbers of requests; they begin at the milliseconds of the clock, so a later simulation goes on above.
type counter struct{ atomic.Int64 }

// Next implements api.Counter.
func (c *counter) Next() (int64, error) { return c.Add(1), nil }

// client makes the client of a node or hub.
func (s *Sim) client(e enrolled, key identity.NodeKey, count *counter) (*api.AgentClient, error) {
	roots := x509.NewCertPool()
	for _, h := range s.state.hubs {
		roots.AppendCertsFromPEM([]byte(h.Authority))
		break
	}
	cert, err := e.certificate(key)
	if err != nil {
		return nil, err
	}
	return api.NewAgentClient(api.AgentOptions{URL: s.URL, Node: e.Name, Roots: roots, Key: key, Counter: count, Now: s.Now, Dial: s.bytes.dial,
		Certificate: func() (*tls.Certificate, error) { return &cert, nil }})
}

// ownLink is a connection of the node alone.
func (s *Sim) ownLink(n *node, kept enrolled) (link, error) { return s.client(kept, n.key, &n.count) }

// A hub is an identity whose connections many nodes share.
type hub struct {
	name    string
	client  *api.AgentClient
	count   counter
	starved atomic.Bool   // this machine let it wait so long that the service may call it dark
	slots   chan struct{} // uploads under way: more connections than are kept open would be made anew each time
}

// hubSlots is how many uploads of a hub are under way at once; its client bounds how many requests with check-ins are.
const hubSlots = 16

func (s *Sim) openHub(kept enrolled) (*hub, error) {
	key, err := identity.ParseNodeKey([]byte(kept.Key))
	if err != nil {
		return nil, fmt.Errorf("reading the key of %s: %w", kept.Name, err)
	}
	h := &hub{name: kept.Name, slots: make(chan struct{}, hubSlots)}
	h.count.Store(s.Now().UnixMilli())
	h.client, err = s.client(kept, key, &h.count)
	return h, err
}

// pass hands a request on as a hub does, unchanged.
func (h *hub) pass(ctx context.Context, req *http.Request, body []byte, out any, now time.Time) error {
	if req.URL.Path != checkIns {
		select {
		case h.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		defer func() { <-h.slots }()
	}
	said, err := h.client.Relay(ctx, api.RelayedOf(req, body, h.name, false, now))
	if err != nil {
		return err
	}
	if err := said.Err(); err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(said.Body, out); err != nil {
		return fmt.Errorf("decoding the answer: %w", err)
	}
	return nil
}

// report says every so often that the hub is there, as one does that has nothing to tell of its nodes.
func (h *hub) report(ctx context.Context, nodes int, version string, clock func() time.Time) error {
	every := time.Second
	for {
		answer, err := h.client.ReportHub(ctx, report.HubReport{Hub: h.name, Version: version, Nodes: nodes})
		var refused *api.Error
		if errors.As(err, &refused) && refused.Retry == 0 {
			return fmt.Errorf("reporting as %s: %w", h.name, err)
		}
		if err == nil {
			every = max(answer.Interval, 100*time.Millisecond)
		}
		over := clock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
		if clock().Sub(over) > every*5/2 {
			h.starved.Store(true)
		}
	}
}

// relayed is a node behind a hub: it signs as every node does, and the hub hands its requests on.
type relayed struct {
	hub  *hub
	node *node
	now  func() time.Time
}

func (l *relayed) post(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	number, err := l.node.count.Next()
	if err != nil {
		return err
	}
	req := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: path}, Header: http.Header{}}
	now := l.now()
	if err := identity.Sign(req, body, l.node.key.Signer(), identity.Stamp{KeyID: l.node.name, Counter: number, Created: now}); err != nil {
		return err
	}
	return l.hub.pass(ctx, req, body, out, now)
}

const checkIns = "/v1/checkin"

// CheckIn implements link.
func (l *relayed) CheckIn(ctx context.Context, in report.CheckIn) (answer report.Answer, err error) {
	err = l.post(ctx, checkIns, in, &answer)
	return answer, err
}

// PutRuns implements link.
func (l *relayed) PutRuns(ctx context.Context, runs []report.Run) error {
	return l.post(ctx, "/v1/runs", api.RunsRequest{Runs: runs}, nil)
}

// PutFacets implements link.
func (l *relayed) PutFacets(ctx context.Context, f report.Facets) error {
	return l.post(ctx, "/v1/facets", f, nil)
}

// Close implements link.
func (l *relayed) Close() {}
