package rollouts

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/reporting"
)

// A network is between the agents of a site and its service: HTTP over TLS, with certificates and signatures, through pipes in
// memory, so that it can be in a bubble of package synctest. A nil one is none: agents call the service.
type network struct {
	lines atomic.Pointer[lines]

	mu     sync.Mutex
	agents map[string]*api.AgentClient
}

// lines are where a service listens.
type lines struct {
	calls chan net.Conn
	gone  chan struct{}
	once  sync.Once
}

var errRefused = errors.New("connection refused")

// Accept implements net.Listener.
func (l *lines) Accept() (net.Conn, error) {
	select {
	case c := <-l.calls:
		return c, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *lines) Close() error {
	l.once.Do(func() { close(l.gone) })
	return nil
}

// Addr implements net.Listener.
func (l *lines) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// serve has a service listen, until deaf is called.
func (n *network) serve(svc *reporting.Service, ca *identity.CA) (deaf func()) {
	if n == nil {
		return func() {}
	}
	l := &lines{calls: make(chan net.Conn), gone: make(chan struct{})}
	server := &http.Server{Handler: svc.Handler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), ReadHeaderTimeout: time.Minute,
		TLSConfig: ca.NewServer([]string{"127.0.0.1"}, time.Now).TLS()}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.ServeTLS(l, "", "") }) // ends when it is closed
	n.lines.Store(l)
	return func() {
		n.lines.Store(nil)
		_ = server.Close() // of what agents wait for nothing is left
		serving.Wait()
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, a := range n.agents {
			a.Close()
		}
	}
}

// dial is what agents do to reach whatever listens.
func (n *network) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	l := n.lines.Load()
	if l == nil {
		return nil, errRefused
	}
	mine, its := net.Pipe()
	select {
	case l.calls <- its:
		return mine, nil
	case <-l.gone:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// numbers are those of requests.
type numbers struct{ atomic.Int64 }

// Next implements api.Counter.
func (n *numbers) Next() (int64, error) { return n.Add(1), nil }

// join gives a node that has enrolled its connection.
func (n *network) join(name string, key identity.NodeKey, answer api.EnrollAnswer, ca *identity.CA) error {
	if n == nil {
		return nil
	}
	cert, err := key.Certificate([]byte(answer.Certificate))
	if err != nil {
		return err
	}
	client, err := api.NewAgentClient(api.AgentOptions{URL: "https://127.0.0.1:1", Node: name, Roots: ca.Pool(), Key: key, Counter: &numbers{}, Now: time.Now, Dial: n.dial,
		Certificate: func() (*tls.Certificate, error) { return &cert, nil }})
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.agents == nil {
		n.agents = map[string]*api.AgentClient{}
	}
	n.agents[name] = client
	return nil
}

// checker is a service, or the way to one.
type checker interface {
	CheckIn(ctx context.Context, c report.CheckIn) (report.Answer, error)
}

// agent is how a node reaches a service.
func (n *network) agent(name string, svc *reporting.Service) checker {
	if n == nil {
		return svc
	}
	return n.agents[name]
}
