package api

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
)

// A rig is a server on loopback, with real TLS and certificates, in front of a backend that remembers what reached it.
type rig struct {
	*backend
	ca     *identity.CA
	server *httptest.Server
	key    identity.NodeKey
	cert   tls.Certificate
	agent  *AgentClient
	admin  *OperatorClient
}

const node = "web-1"

// requests is how many the server of a rig works on at once.
const requests = 8

// The tokens of the operators of the rig, by role; made for the authority of each rig.
type tokens map[identity.Role]identity.Secret

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigWith(t, func(*Backend) {})
}

// newRigWith changes what the server is made of.
func newRigWith(t *testing.T, change func(*Backend)) *rig {
	t.Helper()
	ca, err := identity.NewCA("acme", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := identity.NewNodeKey()
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{keys: map[string]ed25519.PublicKey{node: key.Public()}, operators: tokens{}, now: time.Now}
	for _, role := range operatorRoles() {
		if b.operators[role], err = identity.NewSecret(ca.Fingerprint(), true); err != nil {
			t.Fatal(err)
		}
	}
	r := &rig{backend: b, ca: ca, key: key}
	back := Backend{Agents: b, Gate: b, Operators: b, Admin: b, Roster: b, Staff: b, Doctor: b, Fleet: "acme", Requests: requests, Log: quiet(),
		Now: func() time.Time { return b.now() }, Observe: func(string, int, time.Duration) {}}
	change(&back)
	h := NewServer(back)
	r.server = httptest.NewUnstartedServer(h)
	r.server.TLS = ca.NewServer([]string{"127.0.0.1"}, time.Now).TLS()
	r.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	r.cert = r.certificate(t, key, node, time.Now())
	r.agent = r.client(t, node, key, &r.cert)
	r.admin = r.operator(t, identity.RoleAdmin)
	return r
}

func (r *rig) certificate(t *testing.T, key identity.NodeKey, name string, now time.Time) tls.Certificate {
	t.Helper()
	csr, err := key.CSR(name)
	if err != nil {
		t.Fatal(err)
	}
	chain, _, err := r.ca.IssueClient(csr, identity.Client{Role: identity.RoleNode, Name: name}, now)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := key.Certificate(chain)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// client is that of a node; cert may be nil.
func (r *rig) client(t *testing.T, name string, key identity.NodeKey, cert *tls.Certificate) *AgentClient {
	t.Helper()
	c, err := NewAgentClient(AgentOptions{URL: r.server.URL, Node: name, Roots: r.ca.Pool(), Key: key, Counter: &r.count,
		Certificate: func() (*tls.Certificate, error) {
			if cert == nil {
				return &tls.Certificate{}, nil
			}
			return cert, nil
		}, Now: func() time.Time { return r.now() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (r *rig) operator(t *testing.T, role identity.Role) *OperatorClient {
	t.Helper()
	c, err := NewOperatorClient(r.server.URL, r.operators[role].Text(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// raw sends a request as it is, with the certificate of the node, and returns status, headers and the refusal.
func (r *rig) raw(t *testing.T, req *http.Request) (*http.Response, *Error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.ca.Pool(), ServerName: identity.ServerName, Certificates: []tls.Certificate{r.cert}}}}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Error *Error `json:"error"`
	}
	if err := json.Unmarshal(data, &said); err != nil {
		t.Fatalf("%s %s: %s: %q is no document", req.Method, req.URL.Path, resp.Status, data)
	}
	return resp, said.Error
}

// signed is a request of the node with this very body.
func (r *rig) signed(t *testing.T, path, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	n, _ := r.count.Next()
	if err := identity.Sign(req, []byte(body), r.key.Signer(), identity.Stamp{KeyID: node, Counter: n, Created: r.now()}); err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	return req
}

type count struct {
	mu sync.Mutex
	n  int64
}

func (c *count) Next() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return c.n, nil
}

// backend remembers, and refuses when told to.
type backend struct {
	count     count
	keys      map[string]ed25519.PublicKey
	operators tokens
	now       func() time.Time

	mu        sync.Mutex
	window    identity.Window
	checked   []report.CheckIn
	runs      []report.Run
	notes     []report.ChannelNote
	diagnoses int
	fail      error         // what every call returns
	hold      chan struct{} // calls wait for it
	entered   chan struct{} // a call has begun
}

func (b *backend) call(ctx context.Context) error {
	b.mu.Lock()
	fail, hold := b.fail, b.hold
	b.mu.Unlock()
	if hold != nil {
		b.entered <- struct{}{}
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fail
}

func (b *backend) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *backend) Accept(_ string, n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.window.Accept(n) {
		return identity.ErrReplay
	}
	return nil
}

func (b *backend) NodeKey(name string) (ed25519.PublicKey, error) {
	if key, ok := b.keys[name]; ok {
		return key, nil
	}
	return nil, ErrUnknownNode
}

func (b *backend) Operator(token string) (Operator, error) {
	s, err := identity.ParseSecret(token)
	for role, known := range b.operators {
		if err == nil && s.Operator && known.ID == s.ID && s.Matches(known.Hash()) {
			return Operator{Name: string(role), Role: role}, nil
		}
	}
	return Operator{}, ErrUnauthorized
}

func (b *backend) Admit(what, _ string) error { return nil }

func (b *backend) Enroll(ctx context.Context, r EnrollRequest) (EnrollAnswer, error) {
	return EnrollAnswer{Node: r.Node}, b.call(ctx)
}
func (b *backend) Renew(ctx context.Context, name, _ string) (RenewAnswer, error) {
	return RenewAnswer{Certificate: "for " + name}, b.call(ctx)
}
func (b *backend) CheckIn(ctx context.Context, c report.CheckIn) (report.Answer, error) {
	b.set(func() { b.checked = append(b.checked, c) })
	return report.Answer{Interval: time.Minute}, b.call(ctx)
}
func (b *backend) PutRuns(ctx context.Context, _ string, runs []report.Run) error {
	b.set(func() { b.runs = append(b.runs, runs...) })
	return b.call(ctx)
}
func (b *backend) PutFacets(ctx context.Context, _ string, _ report.Facets) error { return b.call(ctx) }

// Diagnose answers the first time with what is not done yet.
func (b *backend) Diagnose(ctx context.Context) (report.Diagnosis, error) {
	var d report.Diagnosis
	b.set(func() {
		b.diagnoses++
		d.Done = b.diagnoses > 1
	})
	return d, b.call(ctx)
}

func (b *backend) Status(ctx context.Context, _ int) (report.Status, error) {
	return report.Status{Fleet: "acme"}, b.call(ctx)
}
func (b *backend) Nodes(ctx context.Context, q report.Query) ([]report.NodeStatus, error) {
	return []report.NodeStatus{{Name: q.Name, Labels: q.Labels}}, b.call(ctx)
}
func (b *backend) Node(context.Context, string) (report.NodeDetail, error) {
	return report.NodeDetail{}, ErrNotFound
}
func (b *backend) Traits(ctx context.Context, _ report.Query, _ string) ([]report.Traits, error) {
	return nil, b.call(ctx)
}
func (b *backend) Events(ctx context.Context, _ int) ([]report.Event, error) { return nil, b.call(ctx) }
func (b *backend) CreateToken(ctx context.Context, _ TokenRequest) (TokenAnswer, error) {
	return TokenAnswer{}, b.call(ctx)
}
func (b *backend) ListTokens(ctx context.Context) ([]identity.Grant, error) { return nil, b.call(ctx) }
func (b *backend) RevokeToken(ctx context.Context, _ string) error          { return b.call(ctx) }
func (b *backend) Retire(ctx context.Context, _ string) error               { return b.call(ctx) }
func (b *backend) PutChannels(ctx context.Context, notes []report.ChannelNote) error {
	b.set(func() { b.notes = notes })
	return b.call(ctx)
}
func (b *backend) PutGrants(context.Context, []report.Grants) error { return nil }

func (b *backend) Recipients(ctx context.Context) ([]report.Recipient, error) {
	return nil, b.call(ctx)
}
func (b *backend) AddOperator(ctx context.Context, _ Operator) (string, error) {
	return "new token", b.call(ctx)
}
func (b *backend) ListOperators(ctx context.Context) ([]Operator, error) { return nil, b.call(ctx) }
func (b *backend) RemoveOperator(ctx context.Context, _ string) error    { return b.call(ctx) }

func refusedAs(t *testing.T, what string, err error, want *Error) {
	t.Helper()
	if got, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, want) || got.Status != want.Status {
		t.Errorf("%s: got %v, want %s (%d)", what, err, want.Code, want.Status)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func nodeKeys(key identity.NodeKey) map[string]ed25519.PublicKey {
	return map[string]ed25519.PublicKey{node: key.Public()}
}

func certificates(cert tls.Certificate) []*x509.Certificate { return []*x509.Certificate{cert.Leaf} }

func verified(cert tls.Certificate) [][]*x509.Certificate {
	return [][]*x509.Certificate{certificates(cert)}
}
