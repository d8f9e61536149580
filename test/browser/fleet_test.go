// Package browser looks at the dashboard with a real browser: chromium, driven by chromedp. Its fleet is a real service with
// nodes that enrol and check in over the wire.
package browser

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/catalog"
	"vigo.dev/pkg/controller"
	"vigo.dev/pkg/expr"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/resources"
	"vigo.dev/pkg/trait"
	"vigo.dev/pkg/traits"
	"vigo.dev/pkg/up"
)

// The two bundles of the fleet.
const (
	stable = "sha256:4f1c2a9b77e001d2f6a8c3b5e7091a2b3c4d5e6f708192a3b4c5d6e7f8091a2b"
	older  = "sha256:0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d9e"
)

// A fleet is a service that runs, and who can be logged in to it.
type fleet struct {
	*up.Stack
	url, pin string // pin of the certificate, as chromium takes it
	admin    string // token
	viewer   string
	client   *api.OperatorClient
}

func newFleet(t *testing.T) *fleet { t.Helper(); return newFleetWith(t, func(*up.Config) {}) }

// newFleetWith starts a service that is otherwise than usual.
func newFleetWith(t *testing.T, edit func(*up.Config)) *fleet {
	t.Helper()
	keys, err := up.Keys(t.Context(), t.TempDir(), controller.KeyringOptions{Now: time.Now})
	must(t, err)
	schema := expr.NewSchema()
	traits.Schema(schema)
	conf := up.Config{Data: t.TempDir(), Fleet: "acme", Listen: "127.0.0.1:0", Channel: "production", TrustRoot: keys.Root(), Version: "test",
		Language: catalog.Language{Kinds: resources.Registry(), Schema: schema}, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	edit(&conf)
	stack, err := up.Open(t.Context(), conf)
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- stack.Run(ctx) }()
	f := &fleet{Stack: stack, url: "https://" + stack.Local()}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := stack.Close(); err != nil {
			t.Error(err)
		}
	})
	f.admin = f.operator(t, "ada", identity.RoleAdmin)
	f.viewer = f.operator(t, "vic", identity.RoleViewer)
	f.client, err = api.NewOperatorClient(f.url, f.admin, time.Now)
	must(t, err)
	t.Cleanup(f.client.Close)
	conn, err := tls.Dial("tcp", stack.Local(), &tls.Config{InsecureSkipVerify: true}) // to learn the key that the browser is told to accept
	must(t, err)
	f.pin = pinOf(conn.ConnectionState().PeerCertificates[0])
	must(t, conn.Close())
	return f
}

// pinOf is the key of a certificate as chromium takes it.
func pinOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fleet) operator(t *testing.T, name string, role identity.Role) string {
	t.Helper()
	token, err := f.Credential(t.Context(), api.Operator{Name: name, Role: role}, "")
	must(t, err)
	return token
}

// publish says what a controller would.
func (f *fleet) publish(t *testing.T, notes ...report.ChannelNote) {
	t.Helper()
	c, err := api.NewOperatorClient(f.url, f.operator(t, "controller", identity.RolePublisher), time.Now)
	must(t, err)
	defer c.Close()
	must(t, c.PutChannels(t.Context(), notes))
}

func note(channel string, interval time.Duration) report.ChannelNote {
	return report.ChannelNote{Channel: channel, Pointer: "3.1412", Issued: time.Now(), Expires: time.Now().Add(time.Hour), Digest: stable,
		Commit: "4f1c2a9d8e7b6a5f4c3d2e1f0a9b8c7d6e5f4a3b", Checked: time.Now(), Interval: interval}
}

// counter counts the requests of a node.
type counter struct{ n atomic.Int64 }

// Next implements api.Counter.
func (c *counter) Next() (int64, error) { return time.Now().UnixNano() + c.n.Add(1), nil }

// A machine is a node that says what it is told to.
type machine struct {
	*api.AgentClient
	name, channel string
	traits        map[string]any
	run           report.Run
	bundle        string
	refusals      []report.Refusal
}

// join enrols a node.
func (f *fleet) join(t *testing.T, name, channel string, labels map[string]string) *machine {
	t.Helper()
	return f.joinAs(t, name, api.TokenRequest{Uses: 1, Channel: channel, Labels: labels})
}

// joinAs enrols a node, or a hub, with what a token says.
func (f *fleet) joinAs(t *testing.T, name string, what api.TokenRequest) *machine {
	t.Helper()
	made, err := f.client.CreateToken(t.Context(), what)
	must(t, err)
	key, err := identity.NewNodeKey()
	must(t, err)
	answer, err := api.Enrolling{URL: f.url, Token: made.Token, Node: name, Agent: "0.1.0", Hub: what.Hub, Key: key, Now: time.Now}.Enroll(t.Context())
	must(t, err)
	cert, err := key.Certificate([]byte(answer.Certificate))
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(answer.CA))
	c, err := api.NewAgentClient(api.AgentOptions{URL: f.url, Node: name, Roots: roots, Key: key, Counter: &counter{}, Now: time.Now,
		Certificate: func() (*tls.Certificate, error) { return &cert, nil }})
	must(t, err)
	t.Cleanup(c.Close)
	return &machine{AgentClient: c, name: name, channel: what.Channel, bundle: stable, run: report.Run{Counts: report.Counts{OK: 42}, Took: 800 * time.Millisecond}}
}

// checkIn has the node say how it is, and deliver its run and its traits.
func (m *machine) checkIn(t *testing.T) {
	t.Helper()
	facets, names := report.Facets{Node: m.name}, map[string]string{}
	for name, doc := range m.traits {
		facet, err := trait.FacetOf(name, doc)
		must(t, err)
		facets.Facets, names[name] = append(facets.Facets, facet), facet.Digest
	}
	m.run.Node, m.run.Bundle, m.run.Started, m.run.Channel = m.name, m.bundle, time.Now(), m.channel
	m.run.ID = fmt.Sprintf("%s-%d", m.name, m.run.Started.UnixNano())
	m.run.Commit = "4f1c2a9d8e7b6a5f4c3d2e1f0a9b8c7d6e5f4a3b"
	_, err := m.CheckIn(t.Context(), report.CheckIn{Node: m.name, Agent: "0.1.0", Channel: m.channel, Pointer: "3.1412", Bundle: m.bundle, Facets: names, Refusals: m.refusals,
		Run: report.Summary{ID: m.run.ID, Started: m.run.Started, Took: m.run.Took, Counts: m.run.Counts, Error: m.run.Error}})
	must(t, err)
	if !m.run.Quiet() {
		must(t, m.Put(t.Context(), m.run))
	}
	if len(facets.Facets) > 0 {
		must(t, m.PutFacets(t.Context(), facets))
	}
}
