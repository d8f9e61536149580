package reporting

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vigo.dev/pkg/alert/deliver"
	"vigo.dev/pkg/api"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trait"
)

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

const (
	half    = 30 * time.Second // the interval
	current = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	older   = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
)

// clock is what the service takes for the time.
type clock struct {
	lock sync.Mutex
	at   time.Time
}

func (c *clock) Now() time.Time {
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.at
}

func (c *clock) set(at time.Time) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.at = at
}

func (c *clock) pass(d time.Duration) { c.set(c.Now().Add(d)) }

// A rig is a service with a store on disk, a clock of its own and nobody listening on it yet.
type rig struct {
	*Service
	*clock
	path   string
	tell   *deliver.Service   // of alerts; nil: nobody is told
	traits func(*expr.Schema) // nil: none are known
	ca     *identity.CA
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return newRigAt(t, filepath.Join(t.TempDir(), "report.db"))
}

// newRigAt is newRig with the store at the path of a file, or in a database.
func newRigAt(t *testing.T, path string) *rig {
	t.Helper()
	ca, err := identity.NewCA("acme", noon.AddDate(-1, 0, 0)) // good for the clock of the rig and for that of the machine
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{clock: &clock{}, path: path, ca: ca}
	r.set(noon)
	r.start(t)
	t.Cleanup(func() { must(t, r.DB.Close()) })
	return r
}

func (r *rig) start(t *testing.T) {
	t.Helper()
	open := sqlstore.Open
	if strings.HasPrefix(r.path, "postgres://") {
		open = sqlstore.OpenPostgres
	}
	db, err := open(t.Context(), r.path, sqlstore.Options{})
	must(t, err)
	schema := expr.NewSchema()
	if r.traits != nil {
		r.traits(schema)
	}
	r.Service, err = New(t.Context(), Config{DB: db, CA: r.ca, Fleet: "acme", Channel: "stable", Interval: half, TrustRoot: []byte("root"),
		Registry: []string{"registry/acme"}, Schema: schema, Alerts: r.tell, Log: slog.New(slog.DiscardHandler), Now: r.clock.Now})
	must(t, err)
}

// restart stops the service, lets time pass, and starts it again.
func (r *rig) restart(t *testing.T, away time.Duration) {
	t.Helper()
	must(t, r.markAlive(t.Context()))
	must(t, r.DB.Close())
	r.pass(away)
	r.start(t)
}

// listenUntil has the service tick until then, as it does when it is never stopped.
func (r *rig) listenUntil(t *testing.T, then time.Time) {
	t.Helper()
	for r.Now().Before(then) {
		r.pass(min(pause, then.Sub(r.Now())))
		r.Tick(t.Context())
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// join enrols a node with a token of its own.
func (r *rig) join(t *testing.T, name string) identity.NodeKey {
	t.Helper()
	key, err := identity.NewNodeKey()
	must(t, err)
	_, err = r.enroll(t, key, r.tokenFor(t, api.TokenRequest{Uses: 1, Labels: map[string]string{"role": "web"}}), name)
	must(t, err)
	return key
}

func (r *rig) tokenFor(t *testing.T, req api.TokenRequest) string {
	t.Helper()
	answer, err := r.CreateToken(t.Context(), req)
	must(t, err)
	return answer.Token
}

func (r *rig) enroll(t *testing.T, key identity.NodeKey, token, name string) (api.EnrollAnswer, error) {
	t.Helper()
	csr, err := key.CSR(name)
	must(t, err)
	return r.Enroll(t.Context(), api.EnrollRequest{Token: token, Node: name, CSR: string(csr)})
}

func (r *rig) checkIn(t *testing.T, c report.CheckIn) report.Answer {
	t.Helper()
	answer, err := r.CheckIn(t.Context(), c)
	must(t, err)
	return answer
}

func (r *rig) status(t *testing.T) report.Status {
	t.Helper()
	st, err := r.Service.Status(t.Context(), 100)
	must(t, err)
	return st
}

func (r *rig) node(t *testing.T, name string) report.NodeDetail {
	t.Helper()
	n, err := r.Node(t.Context(), name)
	must(t, err)
	return n
}

// problems are the kinds of the problems there are.
func (r *rig) problemKinds(t *testing.T) []string {
	t.Helper()
	kinds := []string{}
	for _, p := range r.status(t).Problems {
		kinds = append(kinds, p.Kind)
	}
	return kinds
}

func (r *rig) publish(t *testing.T, notes ...report.ChannelNote) {
	t.Helper()
	must(t, r.PutChannels(t.Context(), notes))
}

func note() report.ChannelNote {
	return report.ChannelNote{Channel: "stable", Pointer: "1.7", Issued: noon, Expires: noon.Add(7 * 24 * time.Hour), Digest: current, Commit: "abc"}
}

// listen serves the service on loopback, with real TLS; the clock of the rig is that of the machine from then on.
func (r *rig) listen(t *testing.T) *httptest.Server {
	t.Helper()
	r.set(time.Now())
	s := httptest.NewUnstartedServer(r.Handler())
	s.TLS = r.ca.NewServer([]string{"127.0.0.1"}, time.Now).TLS()
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

type counter struct{ n int64 }

func (c *counter) Next() (int64, error) { c.n++; return c.n, nil }

// agent enrols over the network and returns the client of the node.
func (r *rig) agent(t *testing.T, url, name string, key identity.NodeKey) (*api.AgentClient, api.EnrollAnswer, error) {
	t.Helper()
	answer, err := api.Enrolling{URL: url, Token: r.tokenFor(t, api.TokenRequest{Uses: 1}), Node: name, Agent: "test", Key: key, Now: time.Now}.Enroll(t.Context())
	if err != nil {
		return nil, answer, err
	}
	cert, err := key.Certificate([]byte(answer.Certificate))
	must(t, err)
	c, err := api.NewAgentClient(api.AgentOptions{URL: url, Node: name, Roots: r.ca.Pool(), Key: key, Counter: &counter{}, Now: time.Now,
		Certificate: func() (*tls.Certificate, error) { return &cert, nil }})
	must(t, err)
	t.Cleanup(c.Close)
	return c, answer, nil
}

func facet(t *testing.T, name string, v any) trait.Facet {
	t.Helper()
	f, err := trait.FacetOf(name, v)
	must(t, err)
	return f
}

func refusedAs(t *testing.T, what string, err error, want *api.Error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %s", what, err, want.Code)
	}
}

func kindsOf(events []report.Event) []string {
	kinds := make([]string, len(events))
	for i, e := range events {
		kinds[i] = e.Kind
	}
	return kinds
}

func (r *rig) eventKinds(t *testing.T, node string) []string {
	t.Helper()
	events, err := r.DB.Events(t.Context(), node, 100)
	must(t, err)
	return kindsOf(events)
}
