package hub

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"vigo.dev/pkg/api"
	"vigo.dev/pkg/identity"
	"vigo.dev/pkg/ocistore"
	"vigo.dev/pkg/ocistore/registry"
	"vigo.dev/pkg/trust"
)

// Repository is the name of the bundles' repository in the registry of a hub.
const Repository = "vigo/bundles"

// Config says how a hub runs. All fields are required but those that say otherwise.
type Config struct {
	Data      string        // folder of all its state; the caller holds its lock
	Channels  []string      // to mirror; nil: that of the token
	Poll      time.Duration // between two looks at the centre; 0: a twentieth of the shortest interval of its nodes, at least a second
	Spool     int64         // bytes of uploads that may wait
	Scope     Scope         // of the modules that the site needs
	Retention Retention     // of what is mirrored
	SiteOnly  bool          // nodes that enrol here are told of this hub alone, not of what is behind it
	Version   string
	Access    ocistore.Access // to registries of others
	Log       *slog.Logger
	Now       func() time.Time
}

// A Hub is the service and the registry of a site.
type Hub struct {
	Config
	Enrolment Enrolment

	cred     *identity.Credentials
	client   *api.AgentClient
	registry *registry.Registry
	mirror   *Mirror
	spool    *spool
	nodes    *sightings
	limits   limits
	metrics  *metrics
	drain    chan struct{} // the uplink is back
	news     chan struct{} // there is something to report before it is time

	mu      sync.Mutex
	down    error // why the uplink is taken for down; nil: it is up
	told    bool  // the service has taken the last report of this hub
	trouble mirrorTrouble
}

// mirrorTrouble is why the mirror is not current.
type mirrorTrouble struct {
	text  string
	times int       // looks that failed one after the other
	beat  time.Time // the last look
}

// Open opens an enrolled hub from its data folder, without asking anybody: a site that is cut off comes up too. The caller
// closes it.
func Open(ctx context.Context, c Config) (h *Hub, err error) {
	h = &Hub{Config: c, nodes: newSightings(), drain: make(chan struct{}, 1), news: make(chan struct{}, 1)}
	if h.Enrolment, err = LoadEnrolment(c.Data); err != nil {
		return nil, err
	}
	if h.Channels == nil {
		h.Channels = []string{h.Enrolment.Channel}
	}
	file := func(name string) string { return filepath.Join(c.Data, name) }
	h.cred, err = identity.OpenCredentials(identity.CredentialFiles{Key: file(keyFile), Certificate: file(certFile), Authority: file(caFile)}, c.Now)
	if err != nil {
		return nil, restore(err)
	}
	if h.cred.Damaged != nil {
		c.Log.Warn("asking for a new certificate", "err", h.cred.Damaged)
	}
	numbers, err := identity.OpenNumbers(file(numbersFile), c.Now)
	if err != nil {
		c.Log.Warn("numbering requests by the clock", "err", err)
	}
	h.client, err = api.NewAgentClient(api.AgentOptions{URL: h.Enrolment.Servers[0], Others: h.Enrolment.Servers[1:], Node: h.Enrolment.Name,
		Roots: h.cred.Roots, Key: h.cred.Key, Counter: numbers, Certificate: h.cred.Certificate, Now: c.Now})
	if err != nil {
		return nil, err
	}
	if h.spool, err = openSpool(file(spoolDir), c.Spool); err != nil {
		return nil, err
	}
	if h.registry, err = registry.New(registry.Options{Dir: file(registryDir), Log: c.Log, Sparse: true}); err != nil {
		return nil, err
	}
	h.metrics = newMetrics(h)
	h.metrics.registry.MustRegister(h.registry)
	if err := h.openMirror(ctx); err != nil {
		return nil, errors.Join(err, h.registry.Close())
	}
	return h, nil
}

func (h *Hub) openMirror(ctx context.Context) error {
	document, err := os.ReadFile(filepath.Join(h.Data, rootFile))
	if err != nil {
		return restore(fmt.Errorf("reading the trust root: %w", err))
	}
	root, err := trust.ParseRoot(document)
	if err != nil {
		return restore(fmt.Errorf("reading the trust root: %w", err))
	}
	local, err := h.registry.Store(ctx, Repository)
	if err != nil {
		return err
	}
	sources, err := ocistore.OpenFleet(ctx, h.Enrolment.Registry, h.cred, h.Access, h.Now)
	if err != nil {
		return err
	}
	if len(sources) == 0 {
		return restore(errors.New("the enrolment names no registry to mirror"))
	}
	h.mirror, err = NewMirror(MirrorConfig{Upstream: sources[0], Others: sources[1:], Local: local, Fleet: h.Enrolment.Fleet, Channels: h.Channels,
		Scope: h.Scope, Root: root, State: filepath.Join(h.Data, mirrorDir), Log: h.Log, Now: h.Now})
	return err
}

// Run mirrors, delivers and reports until ctx ends. Nothing that fails on the way ends it.
func (h *Hub) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, loop := range []func(context.Context){h.mirrorLoop, h.reportLoop, h.deliverLoop, h.pruneLoop} {
		group.Go(func() error { loop(ctx); return nil })
	}
	return group.Wait()
}

// Close ends what is being fetched for nodes, and closes the registry; Run must have returned.
func (h *Hub) Close() error {
	h.mirror.Close()
	h.client.Close()
	return h.registry.Close()
}

// TLS is the configuration of the listener of the site: the certificate of the hub, which nodes know by the fleet's
// authority; certificates of nodes are verified when shown.
func (h *Hub) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return h.cred.Certificate() },
		ClientAuth:     tls.VerifyClientCertIfGiven,
		ClientCAs:      h.cred.Roots,
		Time:           h.Now,
		NextProtos:     []string{"http/1.1"},
	}
}

// Handler serves the site:
//
//	/v1/          enrolment, check-ins and uploads of nodes, and of hubs behind this one
//	/v2/          the mirrored bundles and pointers, for everybody to pull
//	GET /healthz  200 while the hub looks at its upstream, whether or not that answers
//	GET /metrics  Prometheus: of the hub and of its registry
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/v1/", api.NewRelayServer(api.RelayBackend{Relay: h, Hub: h.Enrolment.Name, Fleet: h.Enrolment.Fleet, Log: h.Log, Now: h.Now, Observe: h.metrics.observe}))
	mux.Handle("/v2/", h.providing(h.registry))
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", h.healthz)
	return mux
}

func (h *Hub) healthz(w http.ResponseWriter, _ *http.Request) {
	h.mu.Lock()
	beat := h.trouble.beat
	h.mu.Unlock()
	if age := h.Now().Sub(beat); age > 4*h.pollEvery()+syncTime {
		http.Error(w, fmt.Sprintf("upstream was last looked at %s ago", age.Round(time.Second)), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// syncTime bounds one look at upstream with all that is copied because of it, over a thin line.
const syncTime = 30 * time.Minute

// mirrorLoop keeps the site current.
func (h *Hub) mirrorLoop(ctx context.Context) {
	for {
		h.look(ctx)
		if !pause(ctx, h.pollEvery(), nil) {
			return
		}
	}
}

// pollEvery is the time between two looks. Nodes look nine tenths of their interval apart at most: with what is left, a new pointer is
// on all of them within one interval, also behind a second hub.
func (h *Hub) pollEvery() time.Duration {
	if h.Poll > 0 {
		return h.Poll
	}
	interval := h.nodes.Interval()
	if interval == 0 {
		interval = h.Enrolment.Interval
	}
	return min(max(interval/20, time.Second), time.Minute)
}

// look syncs once and notes how that went.
func (h *Hub) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	h.mu.Lock()
	h.trouble.beat = h.Now()
	h.mu.Unlock()
	before := h.mirror.Versions()
	err := h.mirror.Sync(ctx)
	if !maps.Equal(before, h.mirror.Versions()) {
		nudge(h.news)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	t := &h.trouble
	t.beat = h.Now()
	switch {
	case err == nil && t.times > 0:
		h.Log.Info("the mirror is current again", "missed", t.times)
		t.text, t.times = "", 0
	case err == nil:
	default:
		t.text = err.Error()
		if t.times++; t.times == 1 {
			h.Log.Warn("mirroring; the site is shown what was there before", "err", err)
		}
	}
}

// pause waits until the time is over or something comes, and returns false when ctx ends first.
func pause(ctx context.Context, d time.Duration, sooner <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-sooner:
		return true
	case <-ctx.Done():
		return false
	}
}

// nudge wakes who waits on a channel with room for one.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
