package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/bundle"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/report"
	"vigo.dev/pkg/reporting"
	"vigo.dev/pkg/sqlstore"
	"vigo.dev/pkg/trust"
	"vigo.dev/test/programs"
	"vigo.dev/test/self"
)

// central is a report service and a registry in this process, which counts every request to either.
type central struct {
	t                             *testing.T
	dir, address                  string
	ca                            *identity.CA
	service                       *reporting.Service
	store                         bundle.Store
	rootKey, bundleKey, channelOf *trust.Signer
	root                          trust.Root
	requests                      atomic.Int64
	batches                       atomic.Int64 // requests with check-ins of several nodes
}

func newCentral(t *testing.T) *central {
	t.Helper()
	c := &central{t: t, dir: t.TempDir()}
	for _, key := range []**trust.Signer{&c.rootKey, &c.bundleKey, &c.channelOf} {
		k, err := trust.NewKey()
		c.must(err)
		*key = k
	}
	c.root = trust.Root{Version: 1}
	c.root.Grant(trust.RoleRoot, 1, trust.Key{Public: c.rootKey.Public()})
	c.root.Grant(trust.RoleBundle, 1, trust.Key{Public: c.bundleKey.Public()})
	c.root.Grant(trust.RoleAnyChannel, 1, trust.Key{Public: c.channelOf.Public()})
	root, err := c.root.Marshal()
	c.must(err)
	c.ca, err = identity.NewCA("acme", time.Now())
	c.must(err)
	db, err := sqlstore.Open(t.Context(), filepath.Join(c.dir, "report.db"), sqlstore.Options{})
	c.must(err)
	quiet := slog.New(slog.DiscardHandler)
	c.service, err = reporting.New(t.Context(), reporting.Config{DB: db, CA: c.ca, Fleet: "acme", Channel: "stable", Interval: crowdInterval, TrustRoot: root,
		Registry: []string{"/vigo/bundles"}, Log: quiet, Now: time.Now})
	c.must(err)
	r, err := registry.New(registry.Options{Dir: filepath.Join(c.dir, "registry"), Log: quiet})
	c.must(err)
	c.store, err = r.Store(t.Context(), "vigo/bundles")
	c.must(err)
	mux := http.NewServeMux()
	mux.Handle("/", c.service.Handler())
	mux.Handle("/v2/", r)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c.requests.Add(1)
		if req.URL.Path == "/v1/checkins" {
			c.batches.Add(1)
		}
		mux.ServeHTTP(w, req)
	}))
	cert, err := c.ca.IssueServer([]string{"127.0.0.1"}, time.Now())
	c.must(err)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: c.ca.Pool(), NextProtos: []string{"http/1.1"}}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	s.StartTLS()
	c.address = s.Listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.service.Run(ctx) }()
	t.Cleanup(func() {
		s.Close()
		cancel()
		if err := errors.Join(<-ended, r.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *central) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// publish shows a bundle and a pointer to it, and returns the digest of the bundle.
func (c *central) publish(seq int64) string {
	c.t.Helper()
	ctx, now := c.t.Context(), time.Now().UTC()
	built, err := bundle.Build(bundle.Config{Fleet: "acme", Channels: []string{"stable"}}, []bundle.LayerInput{
		{Files: []bundle.File{{Path: "compiled.json", Data: []byte("{}")}}},
		{Module: "motd", Files: []bundle.File{{Path: "compiled.json", Data: []byte("{}")}, {Path: "files/motd", Data: []byte(strconv.FormatInt(seq, 10))}}},
	})
	c.must(err)
	c.must(built.Push(ctx, c.store, ""))
	signature, err := c.bundleKey.SignManifest(ctx, built.Descriptor)
	c.must(err)
	_, err = trust.Attach(ctx, c.store, built.Descriptor, signature, now)
	c.must(err)
	p := bundle.Pointer{Fleet: "acme", Channel: "stable", Epoch: 1, Seq: seq, Issued: now, Expires: now.Add(time.Hour),
		Stable: bundle.Target{Digest: built.Descriptor.Digest, Size: built.Descriptor.Size}}
	signature, err = c.channelOf.SignPointer(ctx, p)
	c.must(err)
	c.must(trust.PublishPointer(ctx, c.store, p, [][]byte{signature}))
	c.must(c.service.PutChannels(ctx, []report.ChannelNote{{Channel: "stable", Pointer: p.Version(), Issued: now, Expires: p.Expires, Digest: p.Stable.Digest}}))
	return p.Stable.Digest
}

// enrolMany enrols at the service itself: over the network only so many may in a minute.
func (c *central) enrolMany(n int) []simulated {
	c.t.Helper()
	token, err := c.service.CreateToken(c.t.Context(), api.TokenRequest{Life: time.Hour})
	c.must(err)
	nodes := make([]simulated, n)
	for i := range nodes {
		s := &nodes[i]
		s.name = fmt.Sprintf("node-%04d", i)
		s.cred.Key, err = identity.NewNodeKey()
		c.must(err)
		csr, err := s.cred.Key.CSR(s.name)
		c.must(err)
		answer, err := c.service.Enroll(c.t.Context(), api.EnrollRequest{Token: token.Token, Node: s.name, CSR: string(csr)})
		c.must(err)
		s.cert, err = s.cred.Key.Certificate([]byte(answer.Certificate))
		c.must(err)
		s.cred.Roots = c.ca.Pool()
	}
	return nodes
}

func (c *central) startHub() (*programs.Process, string) {
	c.t.Helper()
	token, err := c.service.CreateToken(c.t.Context(), api.TokenRequest{Hub: true, Uses: 1})
	c.must(err)
	path := filepath.Join(c.dir, "token")
	c.must(os.WriteFile(path, []byte(token.Token), 0o600))
	p := (&place{}).start(c.t, self.Command(c.t, "vigo", "hub", "--data", filepath.Join(c.dir, "hub"), "--listen", "127.0.0.1:0", "--name", "plant",
		"--server", "https://"+c.address, "--token-file", path))
	return p, p.Says(c.t, "plant of fleet acme on https://", patience)
}

// metrics asks a hub what it tells Prometheus, by the one name that its certificate has.
func (c *central) metrics(address string) string {
	c.t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.ca.Pool(), ServerName: identity.ServerName}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, "https://"+address+"/metrics", http.NoBody)
	c.must(err)
	answer, err := transport.RoundTrip(request)
	c.must(err)
	text, err := io.ReadAll(answer.Body)
	c.must(errors.Join(err, answer.Body.Close()))
	return string(text)
}
